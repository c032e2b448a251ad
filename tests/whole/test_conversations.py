"""The golden transcripts again, this time through everything: webhook, lanes, flow, Graph API and back.

Those of firms without a desk: the server has none to offer yet. What a call brings back is the server's own here; a
script that makes it fail is followed up to there.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.people.directory import publish_directory
from bot.people.tenants import change_settings, list_firms
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.customer.shop import SETTINGS
from flows.dialog.transcript import (
    PHONE,
    Again,
    Desk,
    Does,
    Hears,
    Line,
    Moves,
    Passes,
    Returns,
    Says,
    Setting,
    Taps,
    parse,
)
from flows.dialog.transcript import Clock as SetClock
from handlers.whatsapp.emulator.content import (
    Buttons,
    Form,
    Link,
    Medium,
    Menu,
    Notice,
    PhoneRequest,
    PlaceRequest,
    Said,
    Text,
)
from handlers.whatsapp.emulator.world import Message
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

CONVERSATIONS = Path(__file__).parent.parent / "conversations"
ZONE = ZoneInfo("America/Santiago")
TYPING_MS = 2_000  # longer than the pause after which several messages are read as one turn
ACTS = {
    "image": "image", "voice": "voice", "sticker": "sticker", "place": "location",
    "contacts": "contacts", "reaction": "reaction", "unsupported": "unsupported",
}  # fmt: skip


def scripts() -> list[Path]:
    return [
        path
        for path in sorted(CONVERSATIONS.glob("*.chat"))
        if desks(read(path)) == {"no"} and not is_of_another_number(read(path))
    ]


def is_of_another_number(lines: tuple[Line, ...]) -> bool:
    """Whether a script is played on a number that is no firm's own."""
    return any(isinstance(line.what, Setting) and line.what.key == "root" for line in lines)


def desks(lines: tuple[Line, ...]) -> set[str]:
    """What a script says of the firm's desk; unless it says otherwise there is one."""
    told = [line.what for line in lines if not isinstance(line.what, SetClock)]
    first = {told[0].value} if isinstance(told[0], Setting) and told[0].key == "desk" else {"yes"}
    return first | {what.value for what in told if isinstance(what, Setting) and what.key == "desk"}


def read(script: Path) -> tuple[Line, ...]:
    return parse(script.read_text())


def begins_at(lines: tuple[Line, ...]) -> datetime:
    moments = [line.what.local for line in lines if isinstance(line.what, SetClock)]
    return moments[0].replace(tzinfo=ZONE)


@pytest.fixture
async def whole(
    request: pytest.FixtureRequest, stores: Stores, tmp_path: Path, free_port: int
) -> AsyncIterator[Whole]:
    """A server whose day is the script's."""
    start = begins_at(read(request.param))
    clock = Clock()
    clock.shift(int(start.timestamp() * 1000) - clock.now_ms())
    async with whole_server(stores, tmp_path, free_port, clock=clock) as whole:
        yield whole


class Live:
    """Plays a script against the server."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.person = 1
        self.moved = 0
        self.read = 0
        """How many of the bot's messages to this person the script has met."""

    async def play(self, lines: tuple[Line, ...]) -> None:
        typed = False
        for line in lines:
            what = line.what
            if isinstance(what, Returns) and what.failed:
                return
            try:
                if typed and not isinstance(what, Says):
                    await self.pass_time(TYPING_MS)
                typed = isinstance(what, Says)
                await self.follow(what)
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"line {line.number}: {line.source}\n{error}") from error
        await self.nothing_more()

    async def follow(self, what: object) -> None:
        match what:
            case Says(kind="edit", text=text):
                await self.act({"type": "edit", "message": self.wrote(), "body": text})
            case Says(kind="revoke"):
                await self.act({"type": "revoke", "message": self.wrote()})
            case Moves():
                await self.nothing_more()
                self.moved += 1
                await self.whole.people.become(self.person, {"wa_id": phone(900 + self.moved)})
                await self.whole.emulator.settled()
            case Desk(who=who, text=text) if who in PHONE:
                await self.nothing_more()
                await self.act({"type": "owner", "body": text})
            case Says(kind="text", text=text):
                await self.nothing_more()
                await self.act({"type": "text", "body": text})
            case Says(kind=kind, text=text, media=media):
                await self.act({"type": ACTS[media or kind], **({"caption": text} if text else {})})
            case Taps(title=title):
                await self.nothing_more()
                await self.act(self.tap(title))
            case Hears():
                await self.hear(what)
            case Does(what="quiet"):
                await self.nothing_more()
            case Passes(span=span):
                await self.nothing_more()
                await self.pass_time(int(span.total_seconds() * 1000))
            case SetClock(local=local):
                moment = local.replace(tzinfo=ZONE)
                now = self.whole.server.clock.now_ms()
                await self.pass_time(max(0, int(moment.timestamp() * 1000) - now))
            case Again():
                await self.nothing_more()
                self.person += 1
                self.read = 0
            case _:
                pass  # settings were made before, results and effects are the server's own

    async def act(self, act: dict[str, object]) -> None:
        await self.whole.people.act(self.person, act)
        await self.whole.emulator.settled()

    async def pass_time(self, ms: int) -> None:
        self.whole.server.clock.shift(ms)
        await asyncio.sleep(0)

    async def hear(self, expected: Hears) -> None:
        await until(self._has_more, what="the bot's answer")
        got = self.said()[self.read]
        self.read += 1
        assert as_script(got) == expected

    async def nothing_more(self) -> None:
        """Whatever was heard has been decided and sent: nothing waits in a lane."""
        await until(self._at_rest, what="quiet")
        assert [as_script(one) for one in self.said()[self.read :]] == []

    async def _has_more(self) -> bool:
        return len(self.said()) > self.read

    async def _at_rest(self) -> bool:
        depths = await self.whole.server.lanes.depths()
        return all(kind.waiting == kind.leased == 0 for kind in depths.kinds.values())

    def said(self) -> list[Said]:
        shown = (
            message.content
            for message in self.bubbles()
            if message.outbound and not message.by_hand
        )
        return [content for content in shown if isinstance(content, Said)]

    def bubbles(self) -> list[Message]:
        person = self.whole.people.id_of(self.person)
        world = self.whole.emulator.world
        return [] if person is None else list(world.messages(NUMBER.id, person))

    def wrote(self) -> str:
        """The person's latest words."""
        own = (
            m.wamid for m in reversed(self.bubbles()) if not m.outbound and m.changed != "revoked"
        )
        return next(own)

    def tap(self, title: str) -> dict[str, object]:
        for message in reversed(self.bubbles()):
            if not message.outbound:
                continue
            for id, shown in options(message.content):
                if shown == title:
                    return {"type": "tap", "message": message.wamid, "id": id}
        raise AssertionError(f"nothing shows [{title}]")


def options(content: object) -> list[tuple[str, str]]:
    match content:
        case Buttons(buttons=buttons):
            return [(button.id, button.title) for button in buttons]
        case Menu(sections=sections):
            return [(row.id, row.title) for section in sections for row in section.rows]
        case Notice(buttons=shown):
            return [(button.title, button.title) for button in shown]
        case _:
            return []


def as_script(content: Said) -> Hears:
    """What the person sees, as a script would expect it."""
    match content:
        case Text(body=body):
            return Hears(body)
        case Buttons(body=body, buttons=buttons, medium=medium):
            return Hears(body, tuple(button.title for button in buttons), notes=above(medium))
        case Menu(body=body, button=opens, sections=sections):
            rows = [
                f"{row.title} | {row.description}" if row.description else row.title
                for section in sections
                for row in section.rows
            ]
            return Hears(body, (), opens, tuple(rows))
        case Link(body=body, title=title, url=url, medium=medium):
            return Hears(body, (f"{title}({url})",), notes=above(medium))
        case Medium(caption=caption):
            return Hears(caption, notes=above(content))
        case PlaceRequest(body=body):
            return Hears(body, notes=("asks place",))
        case PhoneRequest(body=body):
            return Hears(body, notes=("asks phone",))
        case Form(body=body, title=title, form=form):
            return Hears(body, (title,), notes=(f"form {form}",))
        case Notice(name=name):
            return Hears("", notes=(f"template {name}",))
        case _:
            raise AssertionError(f"no transcript has shown this yet: {content}")


def above(medium: Medium | None) -> tuple[str, ...]:
    if medium is None:
        return ()
    kind = "voice" if medium.voice else medium.kind
    return (f"{kind} {medium.name}" if medium.name else kind,)


async def give_settings(whole: Whole, lines: tuple[Line, ...]) -> None:
    """The firm as the script describes it."""
    told = {
        line.what.key.removeprefix("setting "): line.what.value.replace("⏎", "\n")
        for line in lines
        if isinstance(line.what, Setting) and line.what.key.startswith("setting ")
    }
    changes = {key: told.get(key, "") for key in SETTINGS}
    wire = await Wire.open(whole.stores.redis_url)
    async with Database.open(whole.stores.postgres.app) as database:
        [firm] = await list_firms(database)
        await change_settings(database, firm.id, changes)
        await publish_directory(database, wire, SecretBox(whole.settings.keys))
    await wire.close()
    await whole.server.directory.check()


@pytest.mark.parametrize(
    ("whole", "script"),
    [pytest.param(path, path, id=path.stem) for path in scripts()],
    indirect=["whole"],
)
async def test_the_server_speaks_as_the_transcript_says(whole: Whole, script: Path) -> None:
    lines = read(script)
    await give_settings(whole, lines)

    await Live(whole).play(lines)


def test_there_are_transcripts_to_play() -> None:
    assert scripts()
