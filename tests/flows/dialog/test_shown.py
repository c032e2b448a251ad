"""One flow runs another for another firm: it speaks in that firm's name, and everything else stays as it was."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest

from flows.dialog.advance import Book, Turn
from flows.dialog.answers import Text
from flows.dialog.calls import Call, Failed
from flows.dialog.content import Buttons
from flows.dialog.content import Text as TextContent
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked
from flows.dialog.events import Event, Heard, Result, TakenOver
from flows.dialog.flow import Flow, Step, go, say, stay
from flows.dialog.keys import BOT_KEYS
from flows.dialog.session import Session
from flows.dialog.texts import FORMAT_KEYS, Texts
from flows.values.ids import ContactId, TenantId, Wamid

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))
HOST = Firm(TenantId("host"), "SmarterOS", desk=True)
SOL = Firm(TenantId("sol"), "Panadería Sol", settings={"hours": "siempre"})
FOX = Firm(TenantId("fox"), "Fox", locale="en", zone="Asia/Tokyo")
FIRMS = {"sol": SOL, "fox": FOX}


@dataclass(frozen=True)
class Visit:
    asked: int = 0


@dataclass(frozen=True)
class Tour:
    firm: TenantId = TenantId("")  # noqa: RUF009 - a name for a string
    gone: bool = False


@dataclass(frozen=True)
class Look(Call[str]):
    topic: ClassVar[str] = "works"


deeper = Flow("deeper", Visit, bool)
shop = Flow("shop", Visit, bool, idle=timedelta(days=30))
tour = Flow("tour", Tour, bool, idle=timedelta(hours=24))


@deeper.asks
def sure(v: Visit, yes: bool) -> Step:
    return deeper.end(result=True)


@shop.asks
def counter(v: Visit, words: Literal["look"] | Text, ctx: Ctx) -> Step:
    match words:
        case "look":
            return go(looking, v)
        case "deeper":
            return go(deep, v)
        case "end":
            return shop.end(result=True, say="bye")
        case _:
            host = ctx.host.name if ctx.host else "-"
            told = say("told", host=host, keeper=ctx.keeper.name, hour=f"{ctx.now:%H:%M}")
            return go(counter, replace(v, asked=v.asked + 1), told)


@shop.opens
def hello(v: Visit) -> Step:
    return go(counter, v, "hello")


@shop.calls(lambda v: Look())
def looking(v: Visit, seen: str) -> Step:
    return go(counter, v, say("seen", seen=seen))


@shop.runs(deeper, lambda v: Visit())
def deep(v: Visit, done: bool) -> Step:
    return go(counter, v)


@shop.interrupts
def alarm(v: Visit, heard: Heard, ctx: Ctx) -> Step | None:
    return stay("alarm", repeat=False) if heard.text == "alarm" else None


@tour.asks
def ask(t: Tour, words: Text) -> Step:
    return go(ask, Tour(), "gone") if t.gone else go(showing, Tour(TenantId(words)))


@tour.runs(shop, lambda t: Visit(), firm=lambda t: t.firm)
def showing(t: Tour, done: bool) -> Step:
    return tour.end(result=True, say="left")


@showing.failed
def gone(t: Tour, why: Failed) -> Step:
    return go(ask, Tour(gone=True))


@tour.interrupts
def first(t: Tour, heard: Heard, ctx: Ctx) -> Step | None:
    match heard.text.partition(" ")[0]:
        case "other":
            return go(showing, Tour(TenantId(heard.text.partition(" ")[2])))
        case "aside":
            return stay("aside", repeat=False)
        case _:
            return None


@tour.on("status")
def status(t: Tour, ctx: Ctx) -> Step:
    return stay("aside", repeat=False)


def texts() -> Texts:
    unspoken = {key: key for key in (*BOT_KEYS, *FORMAT_KEYS)}
    spoken = {
        "tour.ask.ask": "Which?",
        "tour.gone": "gone",
        "tour.left": "left {{ firm.name }}",
        "tour.aside": "aside {{ firm.name }} {{ ctx.locale[:2] }}",
        "shop.counter.ask": "{{ firm.name }}?",
        "shop.hello": "hello {{ firm.name }} {{ ctx.locale[:2] }}",
        "shop.told": "{{ s.asked }} {{ firm.name }} {{ host }} {{ keeper }} {{ hour }}",
        "shop.seen": "{{ seen }}",
        "shop.bye": "bye {{ firm.name }}",
        "shop.alarm": "alarm {{ firm.name }}",
        "deeper.sure.ask": "Sure?",
        "deeper.sure.yes": "Yes",
        "deeper.sure.no": "No",
        "shop.counter.look": "look",
        "bot.cancelled": "cancelled",
        "bot.nothing_to_cancel": "nothing",
        "bot.human": "human {{ firm.name }}",
        "bot.recorded": "recorded {{ ctx.keeper.name }}",
        "text.unknown": "?",
    }
    return Texts({"es_CL": {**unspoken, **spoken}, "en": {**unspoken, **spoken}})


BOOK = Book([tour, shop], texts())


class Talk:
    """A conversation on the number of SmarterOS."""

    def __init__(self) -> None:
        self.session = BOOK.fresh("tour")
        self.now = NOW
        self.firms = dict(FIRMS)
        self.n = 0
        self.turn: Turn

    def says(self, text: str) -> str:
        self.n += 1
        return self.takes(Heard(Wamid(f"w{self.n}"), 0, "text", text))

    def takes(self, *events: Event) -> str:
        locale = self.session.locale or HOST.locale
        ctx = Ctx(self.now, HOST, ContactId("p"), locale=locale)
        self.turn = BOOK.advance(self.session, events, ctx, root="tour", firms=self.firms.get)
        self.session = msgspec.json.decode(msgspec.json.encode(self.turn.session), type=Session)
        message = self.turn.message
        assert message is None or isinstance(message, TextContent | Buttons)
        return message.body if message else ""


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_it_greets_in_that_firms_name_and_language(talk: Talk) -> None:
    assert talk.says("other sol") == "hello Panadería Sol es Panadería Sol?"
    assert talk.says("other fox") == "hello Fox en Fox?"


def test_it_speaks_so_from_one_message_to_the_next_on_that_firms_clock(talk: Talk) -> None:
    talk.says("other fox")

    assert talk.says("hi") == "1 Fox SmarterOS SmarterOS 22:00 Fox?"
    assert talk.session.state == "shop.counter"


def test_run_as_a_root_it_has_no_host() -> None:
    ctx = Ctx(NOW, SOL, ContactId("p"))

    turn = BOOK.advance(Session(), [Heard(Wamid("w"), 0, "text", "x y")], ctx, root="shop")

    assert isinstance(turn.message, Buttons)
    assert turn.message.body == "1 Panadería Sol - Panadería Sol 10:00 Panadería Sol?"


def test_menu_and_back_stay_within_it(talk: Talk) -> None:
    talk.says("other sol")
    talk.says("deeper")

    assert talk.says("menú") == "Panadería Sol?"
    assert talk.says("volver") == "Panadería Sol?"
    assert talk.says("hi").startswith("1 Panadería Sol")


def test_cancelling_what_runs_in_it_leads_to_its_beginning(talk: Talk) -> None:
    talk.says("other sol")
    talk.says("deeper")

    assert talk.says("cancelar") == "cancelled Panadería Sol?"
    assert talk.says("cancelar") == "nothing Panadería Sol?"


def test_its_end_is_told_to_the_flow_that_showed_it(talk: Talk) -> None:
    talk.says("other sol")

    assert talk.says("end") == "bye Panadería Sol left SmarterOS"
    assert talk.session.stack == ()


def test_the_number_s_own_flow_hears_first_and_speaks_for_itself(talk: Talk) -> None:
    talk.says("other fox")

    assert talk.says("aside") == "aside SmarterOS es"
    assert talk.says("en qué va") == "aside SmarterOS es"
    assert talk.says("alarm") == "alarm Fox"
    assert talk.says("hi") == "1 Fox SmarterOS SmarterOS 22:00 Fox?"


def test_nobody_of_that_firm_is_promised(talk: Talk) -> None:
    """The host has a desk, and that firm, though it might have one, has none here."""
    talk.firms["sol"] = replace(SOL, desk=False)
    talk.says("other sol")

    assert talk.says("persona") == "recorded SmarterOS"
    assert talk.session.status == "rest"


def test_it_is_forgotten_after_the_silence_of_the_flow_that_shows_it(talk: Talk) -> None:
    talk.says("other sol")
    wakes = talk.session.wake_at()

    assert wakes == (NOW + timedelta(hours=24)).astimezone(UTC)
    talk.now = NOW + timedelta(hours=24)
    assert talk.takes(*talk.session.due(talk.now)) == ""
    assert talk.says("hi") == "Which?"


def test_each_message_begins_that_silence_anew(talk: Talk) -> None:
    talk.says("other sol")
    talk.now += timedelta(hours=20)
    talk.says("hi")

    assert talk.session.wake_at() == (NOW + timedelta(hours=44)).astimezone(UTC)


def test_a_result_is_read_in_that_firms_name(talk: Talk) -> None:
    talk.says("other sol")
    talk.says("look")
    [asked] = [effect for effect in talk.turn.effects if isinstance(effect, Asked)]

    assert talk.takes(Result(asked.seq, msgspec.Raw(b'"pan"'))) == "pan Panadería Sol?"


# ------------------------------------------------------------------ a firm that is gone


def test_who_writes_is_told_once_that_it_is_gone(talk: Talk) -> None:
    talk.says("other sol")
    del talk.firms["sol"]

    assert talk.says("¿tienen pan?") == "gone Which?"
    assert talk.says("sol") == "Which?", "it is not there"


def test_nobody_is_told_unasked(talk: Talk) -> None:
    talk.says("other sol")
    talk.says("look")
    [asked] = [effect for effect in talk.turn.effects if isinstance(effect, Asked)]
    del talk.firms["sol"]

    assert talk.takes(Result(asked.seq, msgspec.Raw(b'"pan"'))) == ""
    assert talk.session.state == "tour.ask"
    assert talk.says("hola") == "gone Which?"


def test_its_own_timers_do_nothing_any_more(talk: Talk) -> None:
    talk.says("other sol")
    talk.now += timedelta(hours=24)
    due = talk.session.due(talk.now)
    del talk.firms["sol"]

    assert talk.takes(*due) == ""
    assert talk.session.due(talk.now) == ()


def test_baja_is_obeyed_all_the_same(talk: Talk) -> None:
    talk.says("other sol")
    del talk.firms["sol"]

    assert talk.says("baja") == "bot.stopped"


def test_another_is_shown_in_its_place(talk: Talk) -> None:
    talk.says("other sol")
    del talk.firms["sol"]

    assert talk.says("other fox") == "hello Fox en Fox?"


def test_one_that_was_never_there_is_not_shown(talk: Talk) -> None:
    assert talk.says("other moon") == "Which?"
    assert talk.session.state == "tour.ask"


def test_where_the_number_has_become_a_firm_s_own_it_is_forgotten(talk: Talk) -> None:
    talk.says("other sol")
    ctx = Ctx(NOW, HOST, ContactId("p"))

    turn = BOOK.advance(
        talk.session,
        [Heard(Wamid("w"), 0, "text", "hi you")],
        ctx,
        root="shop",
        firms=talk.firms.get,
    )

    assert isinstance(turn.message, Buttons)
    assert turn.message.body == "1 SmarterOS - SmarterOS 10:00 SmarterOS?"


def test_while_somebody_answers_by_hand_it_is_silent(talk: Talk) -> None:
    talk.says("other sol")
    talk.takes(TakenOver(int((NOW + timedelta(hours=2)).timestamp())))

    assert talk.says("hi") == ""


# ------------------------------------------------------------------ what it costs where nobody is shown


def test_a_session_in_which_nobody_is_shown_is_what_it_was() -> None:
    ctx = Ctx(NOW, SOL, ContactId("p"))
    turn = BOOK.advance(Session(), [Heard(Wamid("w"), 0, "text", "x y")], ctx, root="shop")

    assert set(msgspec.json.decode(msgspec.json.encode(turn.session))) == {"stack", "seq", "timers"}
