"""The window through everything: webhook, lanes, flow, Graph API as strict as Meta's, statuses, journal. Time is moved."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.engine.conversation import Conversation, decode
from bot.engine.refusals import AGAIN_MS
from bot.people.tenants import list_firms
from bot.store.database import Database
from flows.dialog.transcript import Hears, Line, play
from handlers.whatsapp.emulator.content import Notice, words_of
from handlers.whatsapp.emulator.world import Message
from tests.whole.bookings import bookings
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until
from tests.whole.test_conversations import Live, as_script, begins_at, read

SCRIPTS = sorted((Path(__file__).parent / "window").glob("*.chat"))
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
KNOCK = "retomar_atencion"
REMINDER = "recordatorio_hora"


@pytest.fixture
async def whole(
    request: pytest.FixtureRequest, stores: Stores, tmp_path: Path, free_port: int
) -> AsyncIterator[Whole]:
    """A server of the booking flow whose templates are approved; its day is a script's, if one is given."""
    clock = Clock()
    script = getattr(request, "param", None)
    if isinstance(script, Path):
        clock.shift(int(begins_at(read(script)).timestamp() * 1000) - clock.now_ms())
    meta_clock = Clock() if script == "apart" else None
    async with whole_server(
        stores, tmp_path, free_port, book=bookings(), clock=clock, meta_clock=meta_clock
    ) as whole:
        await known(whole, "APPROVED")
        yield whole


async def known(whole: Whole, status: str) -> None:
    """Wait until the server knows that the reminder stands so."""
    [channel] = whole.server.directory.channels()

    async def is_so() -> bool:
        template = whole.server.directory.template(channel.id, REMINDER, "es_CL")
        return template is not None and template.status == status

    await until(is_so, within_s=15, what=f"that the template is {status}")


class Chat(Live):
    """One person, and what they see."""

    async def hear(self, expected: Hears) -> None:
        if not expected.template:
            await super().hear(expected)
            return
        await until(self._has_more, within_s=10, what="the template")
        got = self.said()[self.read]
        self.read += 1
        assert as_script(got).notes == expected.notes
        assert isinstance(got, Notice)
        assert expected.body in words_of(got)
        assert tuple(button.title for button in got.buttons) == expected.buttons

    async def writes(self, text: str) -> None:
        await self.act({"type": "text", "body": text})

    async def rests(self) -> None:
        await until(self._at_rest, within_s=20, what="rest")
        await self.whole.emulator.settled()
        await until(self._at_rest, within_s=20, what="rest")

    async def in_lane(self) -> bool:
        """Whether something waits to be sent, for a limit or a rest."""
        view = await self.whole.server.lanes.inspect(f"wa/{await self.conversation()}")
        return view.waiting > 0

    async def sees(self, *expected: str) -> None:
        """All that arrived, in order: words, or the name of a template in brackets."""
        await self.rests()
        assert [seen(message) for message in self.arrived()] == list(expected)

    def arrived(self) -> list[Message]:
        sent = (message for message in self.bubbles() if message.outbound)
        return [message for message in sent if message.status != "failed"]

    async def taps(self, title: str) -> None:
        await self.act(self.tap(title))

    async def stopped(self) -> bool:
        return (await self.state()).stopped

    async def is_parked(self) -> bool:
        return bool((await self.state()).parked)

    async def state(self) -> Conversation:
        state = await self.whole.server.lanes.state_of(f"conv/{await self.conversation()}")
        assert state is not None
        return decode(state)

    async def conversation(self) -> str:
        [row] = await self.rows("SELECT id::text AS id FROM smarterbot.conversations")
        return str(row["id"])

    async def rows(self, sql: str) -> list[Any]:
        """Of the firm, once the journal is written."""

        async def written() -> bool:
            return (await self.whole.server.lanes.depths()).journal == 0

        await until(written, within_s=10, what="the journal")
        async with Database.open(self.whole.stores.postgres.app) as database:
            [firm] = await list_firms(database)
            async with database.tenant(firm.id) as connection:
                return list(await connection.fetch(sql))


def seen(message: Message) -> str:
    content = message.content
    return f"({content.name})" if isinstance(content, Notice) else words_of(content)


# ------------------------------------------------------------------ as a person sees it


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_flow_speaks_as_the_transcript_says(script: Path) -> None:
    play(script.read_text(), bookings())


@pytest.mark.parametrize(
    ("whole", "script"),
    [pytest.param(path, path, id=path.stem) for path in SCRIPTS],
    indirect=["whole"],
)
async def test_the_server_speaks_as_the_transcript_says(whole: Whole, script: Path) -> None:
    lines: tuple[Line, ...] = read(script)

    await Chat(whole).play(lines)


# ------------------------------------------------------------------ a day of ours is lost


async def test_an_answer_that_comes_a_day_late_knocks_waits_and_is_read_on_a_tap(
    whole: Whole,
) -> None:
    """Our intake was away for a day: Meta repeats what it could not tell us, and its window is closed by then."""
    chat = Chat(whole)
    await whole.people.faults(delay_ms=25 * HOUR_MS)
    await whole.people.act(1, {"type": "text", "body": "¿tienen pan?"})
    await whole.people.faults(delay_ms=0)
    await whole.people.shift(25 * HOUR_MS)
    await until(chat._has_more, within_s=10, what="the knock")
    await chat.sees(f"({KNOCK})")
    [waits] = await chat.rows(
        "SELECT content->>'body' AS body, parked_until, wamid FROM smarterbot.messages WHERE parked_until IS NOT NULL"
    )
    assert (waits["body"], waits["wamid"]) == ("Oí: ¿tienen pan?. ¿Algo más?", None)

    await chat.taps("Ver respuesta")

    await chat.sees(f"({KNOCK})", "Oí: ¿tienen pan?. ¿Algo más?")
    assert await chat.rows("SELECT 1 FROM smarterbot.messages WHERE parked_until IS NOT NULL") == []
    assert whole.truth.refused == {}


# ------------------------------------------------------------------ Meta closes it before we know


@pytest.mark.parametrize("whole", ["apart"], indirect=True)
@pytest.mark.parametrize("at_once", [True, False], ids=["by-answer", "by-status"])
async def test_what_meta_refuses_as_too_late_waits_and_leaves_once(
    whole: Whole, at_once: bool
) -> None:
    """Meta's time jumps by a day while an answer is on its way: what we believe open is closed."""
    chat = Chat(whole)
    await whole.people.faults(window_error=-1 if at_once else 0)
    await chat.writes("pan")
    await chat.sees("Oí: pan. ¿Algo más?")
    await whole.people.faults(slow_ms=HOUR_MS)
    await chat.writes("¿tienen pan?")
    await until(lambda: waiting_at_meta(whole), within_s=10, what="the answer on its way")
    await whole.people.faults(slow_ms=0)
    await whole.people.shift(25 * HOUR_MS)
    await until(chat.is_parked, within_s=20, what="that it waits")
    await chat.sees("Oí: pan. ¿Algo más?", f"({KNOCK})")
    assert (await chat.state()).shut

    await chat.writes("¿y tortas?")

    await chat.sees(
        "Oí: pan. ¿Algo más?",
        f"({KNOCK})",
        "Oí: ¿tienen pan?. ¿Algo más?",
        "Oí: ¿y tortas?. ¿Algo más?",
    )
    assert not (await chat.state()).shut
    assert sum(whole.truth.refused.values()) == at_once


async def waiting_at_meta(whole: Whole) -> bool:
    return whole.emulator.waiting > 0


# ------------------------------------------------------------------ the firm's own initiative


async def booked(whole: Whole, *, leave: bool = True, kind: str = "hora") -> Chat:
    """Somebody who booked, and may be reminded a day later."""
    chat = Chat(whole)
    if leave:
        await chat.writes("acepto")
    await chat.writes(f"{kind} corte")
    await chat.rests()
    return chat


async def refusals(chat: Chat) -> list[str]:
    rows = await chat.rows("SELECT fault FROM smarterbot.refusals ORDER BY at, fault")
    return [str(row["fault"]) for row in rows]


async def test_without_leave_nobody_is_reminded_and_the_journal_says_why(whole: Whole) -> None:
    chat = await booked(whole, leave=False)

    await whole.people.shift(25 * HOUR_MS)
    await until(lambda: is_refused(chat), within_s=10, what="the refusal")

    await chat.sees("Anotado: corte. ¿Vienes?")
    assert await refusals(chat) == ["no_consent"]


async def is_refused(chat: Chat) -> bool:
    return bool(await refusals(chat))


async def test_whoever_said_baja_is_not_reminded(whole: Whole) -> None:
    chat = await booked(whole)
    await chat.writes("baja")
    await chat.rests()
    before = len(chat.arrived())

    await whole.people.shift(25 * HOUR_MS)
    await until(lambda: is_refused(chat), within_s=10, what="the refusal")

    await chat.rests()
    assert (len(chat.arrived()), await refusals(chat)) == (before, ["opted_out"])


async def test_baja_stops_what_already_waits_in_the_lane(whole: Whole) -> None:
    """The number rests, a reminder waits for it, and the person has had enough."""
    chat = await booked(whole)
    await whole.people.faults(throughput=-1)
    await whole.people.shift(25 * HOUR_MS)
    await until(chat.in_lane, within_s=10, what="the reminder in its lane")

    await chat.writes("baja")
    await until(chat.stopped, within_s=10, what="that it is heard")
    await whole.people.faults(throughput=0)

    await until(lambda: is_refused(chat), within_s=20, what="the refusal")
    await chat.rests()
    assert f"({REMINDER})" not in [seen(message) for message in chat.arrived()]
    assert await refusals(chat) == ["opted_out"]


@pytest.mark.parametrize(
    ("told", "at_meta", "fault"),
    [
        pytest.param("", "PAUSED", "template_paused", id="meta-says-so"),
        pytest.param("", "DISABLED", "template_disabled", id="meta-says-that"),
        pytest.param("PAUSED", "APPROVED", "template_unusable", id="we-know-it"),
    ],
)
async def test_a_template_that_is_not_let_out_is_refused_with_its_reason(
    whole: Whole, told: str, at_meta: str, fault: str
) -> None:
    chat = await booked(whole)
    if told:
        decision = {"type": "template", "name": REMINDER, "language": "es_CL", "event": told}
        url = f"{whole.settings.graph_url}/api/accounts/{NUMBER.id}/decisions"
        async with whole.http.post(url, json=decision) as answer:
            assert answer.status == 202
        await known(whole, told)
    world = whole.emulator.world
    template = world.template(NUMBER.waba_id, REMINDER, "es_CL")
    assert template is not None
    world.put_template(NUMBER.waba_id, replace(template, status=at_meta))

    await whole.people.shift(25 * HOUR_MS)
    await until(lambda: is_refused(chat), within_s=10, what="the refusal")

    # After so many hours the server may have asked Meta again just before.
    assert await refusals(chat) in ([fault], ["template_unusable"])
    assert len(chat.arrived()) == 2


async def test_who_stopped_offers_at_meta_is_in_the_ledger(whole: Whole) -> None:
    chat = await booked(whole)
    await whole.people.faults(fail_with=131050)

    await whole.people.shift(25 * HOUR_MS)

    async def stopped() -> bool:
        return bool(
            await chat.rows("SELECT 1 FROM smarterbot.consents WHERE purpose = 'marketing'")
        )

    await until(stopped, within_s=10, what="the line in the ledger")
    [line] = await chat.rows(
        "SELECT granted, evidence FROM smarterbot.consents WHERE purpose = 'marketing'"
    )
    failed = [message for message in chat.bubbles() if message.status == "failed"]
    assert (line["granted"], [line["evidence"]]) == (False, [message.wamid for message in failed])


async def test_what_meta_stumbled_over_is_sent_once_more(whole: Whole) -> None:
    chat = Chat(whole)
    await whole.people.faults(fail_with=131000)
    await chat.writes("pan")
    await until(lambda: has_failed(chat, 1), within_s=10, what="the failure")
    await until(chat.in_lane, within_s=10, what="that it is to be sent again")
    await whole.people.faults(fail_with=0)

    await whole.people.shift(AGAIN_MS)
    await until(chat._has_more, within_s=10, what="the second time")

    await chat.sees("Oí: pan. ¿Algo más?")
    [row] = await chat.rows(
        "SELECT again, wamid, status FROM smarterbot.messages WHERE direction = 'out'"
    )
    assert (row["again"], row["wamid"]) == (True, chat.arrived()[0].wamid)


async def has_failed(chat: Chat, times: int) -> bool:
    return sum(message.status == "failed" for message in chat.bubbles()) == times


# ------------------------------------------------------------------ what waits


async def test_what_waits_is_given_up_after_its_time_though_nobody_writes(whole: Whole) -> None:
    chat = await booked(whole, kind="sola")
    await whole.people.shift(25 * HOUR_MS)
    await until(chat.is_parked, within_s=10, what="that it waits")

    await whole.people.shift(2 * DAY_MS)
    await until(lambda: is_refused(chat), within_s=10, what="the end of its time")

    assert await refusals(chat) == ["expired"]
    assert (await chat.state()).parked == ()
    assert await chat.rows("SELECT 1 FROM smarterbot.messages WHERE parked_until IS NOT NULL") == []


async def test_what_waits_is_said_before_the_answer(whole: Whole) -> None:
    chat = await booked(whole, kind="sola")
    await whole.people.shift(25 * HOUR_MS)
    await until(chat.is_parked, within_s=10, what="that it waits")

    await chat.writes("voy tarde")

    await chat.sees(
        "Listo, te avisaremos. ¿Algo más?",
        "Anotado: corte. ¿Vienes?",
        "Recuerda tu hora de corte.",
        "Oí: voy tarde. ¿Algo más?",
    )
