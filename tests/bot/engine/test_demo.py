"""A demo reaches nothing of the firm that is shown: what is done is done for the number's owner, whoever speaks."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.json import decode, encode

from bot.engine.conversation import Conversation
from bot.engine.conversation import encode as write_state
from bot.engine.turn import Decision
from bot.engine.turn import decide as decide_turn
from flows.calls.demo import Demo
from flows.dialog.calls import encode as encode_value
from flows.dialog.content import Buttons, Content, Rows, body_of
from flows.dialog.ctx import Firm
from flows.dialog.events import Attachment, Heard, HeardKind, Result
from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId, Wamid
from handlers.actions import Ask, FetchMedia, Say, SendAction
from handlers.events import Answered, Arrived, Event, Sender
from handlers.journal import TurnRecord
from tests.flows.customer.test_any_conversation import OTHERS, SAID
from tests.flows.product import product_book

NOW = 1_795_392_000_000
HOUR_MS = 3_600_000
ID = ConversationId("8a0bb3de-1111-4222-8333-444455556666")
SHOW = ChannelId("show")
ANA = Sender(wa_id="56961234567", name="Ana")
HOST = Firm(id=TenantId("0d7c9d3a-1111-4222-8333-444455556666"), name="SmarterOS")
SECRETS = {
    "budget": "987654321",
    "media_days": "7177",
    "quiet_minutes": "7177",
    "quiet_hours": "03:33-04:44",
    "n8n": "https://n8n.sol.example/webhook/secret",
}
"""Settings of a firm that are nobody's affair."""
SOL = Firm(
    id=TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff"),
    name="Panadería Sol",
    settings={
        "hours": "lun-sáb 8:00-20:00",
        "products": "Marraqueta: $1.990 el kilo",
        "phone": "+56223456789",
        "privacy_url": "https://sol.example/privacidad",
        "read_receipts": "no",
        **SECRETS,
    },
    desk=True,
)
LUNA = Firm(id=TenantId("7d444840-9dc0-41d1-b245-5ffdce74fad2"), name="Carnes Luna")
CODES = {"7K2MQ9XD4": SOL, "3AB9ZZTQ7": LUNA}
LANES = {"wa", "demo", "desk", "media"}
"""Where a demo's actions may go. Not among them: `login`."""


class Town:
    """A conversation on the demo number, and what its turns do outside."""

    def __init__(self) -> None:
        self.rest: Conversation | None = None
        self.now_ms = NOW
        self.firms = {firm.id: firm for firm in (HOST, SOL, LUNA)}
        self.asks: list[Ask] = []
        self.lanes: set[str] = set()
        self.records: list[object] = []
        self.last: Content | None = None
        self.said: list[str] = []
        self.says_reads = False
        """Whether the latest answer shows the person that their message was read."""
        self.n = 0

    def says(self, text: str) -> str:
        return self.hears(Heard(Wamid(""), 0, "text", text))

    def hears(self, heard: Heard) -> str:
        self.n += 1
        heard = msgspec.structs.replace(heard, id=Wamid(f"wamid.{self.n}"), at=self.now_ms // 1000)
        return self.takes(
            Arrived(
                tenant=HOST.id,
                channel=SHOW,
                contact=ContactId("p1"),
                sender=ANA,
                heard=heard,
                received=self.now_ms - 10_000,
            )
        )

    def takes(self, *events: Event) -> str:
        decision = decide_turn(
            product_book(),
            self.firms.get,
            ID,
            self.rest,
            events,
            self.now_ms,
            root_of=lambda channel: "demo",
        )
        self.rest = decision.conversation
        return self._keep(decision)

    def _keep(self, decision: Decision) -> str:
        words: list[str] = []
        for lane, body in decision.pushes:
            kind, _, of = lane.partition("/")
            assert of == ID
            self.lanes.add(kind)
            if kind == "wa":
                action = decode(body, type=SendAction)
                assert (action.tenant, action.channel) == (HOST.id, SHOW)
                if isinstance(action, Say):
                    self.last = action.content
                    self.says_reads = bool(action.reads)
                    words.append(body_of(action.content))
            elif kind == "media":
                fetch = decode(body, type=FetchMedia)
                assert (fetch.tenant, fetch.channel) == (HOST.id, SHOW)
            else:
                ask = decode(body, type=Ask)
                assert (ask.tenant, ask.channel, ask.contact) == (HOST.id, SHOW, "p1")
                self.asks.append(ask)
        for record in decision.records:
            assert record.tenant == HOST.id  # type: ignore[union-attr]  # every record of a turn has one
            self.records.append(record)
        assert (self.rest.tenant, self.rest.channel) == (HOST.id, SHOW) if self.rest else True
        self.said += words
        return "\n".join(words)

    def answers(self, *, found: bool = True) -> str:
        """Whatever was asked last brings something back."""
        if not self.asks:
            return ""
        ask = self.asks.pop()
        if ask.call == "FindDemo":
            firm = CODES.get(decode(ask.args)["code"]) if found else None
            value = encode_value(
                None if firm is None else Demo(firm.id, firm.name, "+56 2 2345 6700")
            )
        else:
            value = Raw(b'{"id": 7}')
        return self.takes(Answered(Result(ask.seq, value)))

    def enters(self, code: str = "7K2MQ9XD4") -> str:
        self.says(f"Demo {code}")
        return self.answers()


@pytest.fixture
def town() -> Town:
    return Town()


def test_the_bot_of_that_firm_speaks(town: Town) -> None:
    assert "Panadería Sol" in town.enters()
    assert "Marraqueta" in town.says("precios")


def test_what_is_asked_of_the_outside_is_asked_for_the_number_s_owner(town: Town) -> None:
    town.enters()
    town.says("quiero hablar con alguien")
    town.says("una torta")

    [ask] = town.asks
    assert (ask.call, ask.tenant) == ("OpenHandoff", HOST.id)


def test_nobody_is_led_into_a_panel_or_an_account(town: Town) -> None:
    town.enters()

    for words in (
        "quiero entrar a mi panel",
        "entrar al panel",
        "link del panel",
        "log in",
        "Quiero ingresar a Panadería Sol. Ref: 7KQ2M9XD4TVB8RHW3NCZ6PYJ5E",
        "Ref: 7KQ2M9XD4TVB8RHW3NCZ6PYJ5E demo",
    ):
        assert "para entrar a una cuenta" in town.says(words), words
    assert town.asks == []


def test_a_wish_for_orders_or_debts_asks_no_system_of_that_firm(town: Town) -> None:
    town.enters()

    for words in ("mi pedido", "estado de cuenta", "mándame la factura", "en qué va mi pedido"):
        town.says(words)

    assert town.asks == []


def test_a_leave_is_given_to_the_number_s_owner(town: Town) -> None:
    town.enters()
    town.says("baja")

    assert town.rest is not None
    assert town.rest.stopped
    [told] = [r for r in town.records if isinstance(r, TurnRecord) and r.consents]
    assert told.tenant == HOST.id


def test_a_right_is_claimed_from_the_number_s_owner(town: Town) -> None:
    town.enters()

    assert "lo que SmarterOS guarda de ti" in town.says("mis datos")


def test_what_is_kept_of_that_firm_is_its_id_and_its_name(town: Town) -> None:
    town.enters()
    town.says("precios")
    town.says("hola")

    assert town.rest is not None
    kept = write_state(town.rest).decode()
    assert SOL.id in kept
    for value in SOL.settings.values():
        assert value not in kept


def test_a_setting_that_is_not_for_customers_does_not_enter(town: Town) -> None:
    town.enters()
    for words in SAID:
        town.says(words)
        town.answers()

    told = "\n".join(town.said)
    for value in SECRETS.values():
        assert value not in told


def test_what_the_number_does_goes_by_its_owner_s_settings(town: Town) -> None:
    """That firm shows nobody that it has read; SmarterOS does."""
    town.enters()
    town.says("precios")

    assert town.says_reads


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(f"Demo {SOL.id}", id="the-firm's-own-id"),
        pytest.param(f"Demo {SOL.name}", id="its-name"),
        pytest.param("Demo 765432103", id="its-RUT"),
        pytest.param("Demo 7K2MQ9XD5", id="a-code-near-it"),
    ],
)
def test_nothing_but_its_code_shows_a_firm(town: Town, words: str) -> None:
    town.says(words)
    town.answers()

    assert all("asistente de Panadería Sol" not in said for said in town.said)


def test_an_answer_of_an_earlier_visit_shows_nobody(town: Town) -> None:
    town.says("Demo 7K2MQ9XD4")
    [asked] = town.asks
    town.says("Demo 3AB9ZZTQ7")
    old = Demo(SOL.id, SOL.name)

    said = town.takes(Answered(Result(asked.seq, encode_value(old))))

    assert said == ""
    assert "Carnes Luna" in town.answers()


def test_whose_owner_does_not_want_it_is_not_shown(town: Town) -> None:
    town.firms[SOL.id] = Firm(SOL.id, SOL.name, settings={**SOL.settings, "demo": "no"})

    town.enters()

    assert town.rest is not None
    assert town.rest.session.state == "demo.ask_link"
    assert all("Soy el asistente" not in said for said in town.said)


def test_nor_from_the_moment_on_in_which_the_owner_says_so(town: Town) -> None:
    town.enters()
    town.firms[SOL.id] = Firm(SOL.id, SOL.name, settings={**SOL.settings, "demo": "no"})

    said = town.says("precios")

    assert "ya no está disponible" in said
    assert "Marraqueta" not in said


def test_on_a_firm_s_own_number_a_code_is_a_word_like_any_other(town: Town) -> None:
    decision = decide_turn(
        product_book(),
        town.firms.get,
        ID,
        None,
        [
            Arrived(
                tenant=LUNA.id,
                channel=ChannelId("luna"),
                contact=ContactId("p1"),
                sender=ANA,
                heard=Heard(Wamid("w"), NOW // 1000, "text", "Demo 7K2MQ9XD4"),
                received=NOW - 10_000,
            )
        ],
        NOW,
    )

    assert {lane.partition("/")[0] for lane, _ in decision.pushes} == {"wa"}
    assert decision.conversation.session.stack[0].flow == "customer"


def test_a_state_that_names_a_firm_is_of_no_use_on_another_number(town: Town) -> None:
    """A demo number that becomes a firm's own again speaks for its owner, whatever was shown on it."""
    town.enters()
    assert town.rest is not None

    decision = decide_turn(
        product_book(),
        town.firms.get,
        ID,
        town.rest,
        [
            Arrived(
                tenant=HOST.id,
                channel=SHOW,
                contact=ContactId("p1"),
                sender=ANA,
                heard=Heard(Wamid("w"), NOW // 1000, "text", "hola"),
                received=NOW - 10_000,
            )
        ],
        NOW,
    )

    assert decision.conversation.session.stack[0].flow == "customer"
    [say] = [decode(body, type=SendAction) for lane, body in decision.pushes if lane == f"wa/{ID}"]
    assert isinstance(say, Say)
    assert "SmarterOS" in body_of(say.content)
    assert "Sol" not in body_of(say.content)


# ------------------------------------------------------------------ whatever is sent

KINDS: Sequence[HeardKind] = OTHERS
moves = st.one_of(
    st.sampled_from(
        [
            *SAID, "Demo 7K2MQ9XD4", "Demo 3AB9ZZTQ7", "Demo 9999999ZZ", "salir de la demo", "entrar al panel",
            "Ref: 7KQ2M9XD4TVB8RHW3NCZ6PYJ5E", "me quiero morir", "quiero pedir una torta", "reclamo",
        ]
    ),
    st.text(max_size=30),
    st.integers(min_value=0, max_value=9).map(lambda n: f"tap {n}"),
    st.sampled_from(["(answer)", "(wait)", "(file)", "(off)", "(on)", *(f"({kind})" for kind in KINDS)]),
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.lists(moves, min_size=1, max_size=14))
@example(["1", "sí", "hola", "(wait)"])
def test_whatever_is_sent_stays_with_the_number_s_owner(sent: list[str]) -> None:
    """`Town` looks at every action and record; here at where they went, and at what was said unasked."""
    town = Town()
    for what in ("Demo 7K2MQ9XD4", "(answer)", *sent):
        move(town, what)

    assert town.lanes <= LANES
    told = "\n".join(town.said)
    for value in SECRETS.values():
        assert value not in told


def move(town: Town, what: str) -> None:
    match what:
        case "(answer)":
            town.answers()
        case "(wait)":
            # What was asked is answered before: a call that nobody serves is an answer that comes late.
            town.answers()
            town.now_ms += 7 * HOUR_MS
            assert town.takes() == "", "nothing is said unasked"
        case "(file)":
            media = Attachment("image", "media-1")
            town.hears(Heard(Wamid(""), 0, "media", media=media))
        case "(off)":
            town.firms.pop(SOL.id, None)
        case "(on)":
            town.firms[SOL.id] = SOL
        case _ if what.startswith("(") and what[1:-1] in KINDS:
            town.hears(Heard(Wamid(""), 0, what[1:-1], form=Raw(encode({"a": 1}))))  # type: ignore[arg-type]  # one of KINDS
        case _ if what.startswith("tap ") and what[4:].isdecimal():
            match town.last:
                case Buttons(buttons=shown) | Rows(rows=shown) if shown:
                    tapped = shown[int(what[4:]) % len(shown)]
                    town.hears(Heard(Wamid(""), 0, "tap", tapped.title, tapped.id))
                case _:
                    pass
        case _:
            town.says(what)
