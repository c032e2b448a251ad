"""What is stored between two turns: small, readable after a release, exact about time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from flows.dialog.advance import Book
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.events import Heard, Result, Wake
from flows.dialog.flow import Flow
from flows.dialog.session import Codec, Frame, Session, Timer
from flows.values.ids import ContactId, TenantId, Wamid
from flows.values.rut import Rut
from tests.flows.dialog.sample import (
    NO_RUT,
    Category,
    Order,
    Signup,
    Visit,
    customer,
    onboarding,
)
from tests.flows.dialog.sample_texts import TEXTS

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))
CTX = Ctx(NOW, Firm(TenantId("t"), "Panadería Sol", desk=True), ContactId("c"))


def typed(text: str) -> Heard:
    return Heard(Wamid("w"), 0, "text", text)


def test_an_idle_conversation_is_one_short_line() -> None:
    rest = Session(seq=4, status="rest")

    assert msgspec.json.encode(rest) == b'{"seq":4,"status":"rest"}'
    assert msgspec.json.encode(Session()) == b"{}"


def test_data_is_stored_without_its_defaults() -> None:
    codec = Codec(Signup)
    data = Signup(rut=Rut("765432103"), category=Category.food)

    stored = codec.encode(data)

    assert bytes(stored) == b'{"rut":"765432103","category":"food"}'
    assert codec.decode(stored) == data
    assert type(codec.decode(stored).rut) is Rut


def test_nested_data_comes_back_as_it_was() -> None:
    codec = Codec(Visit)
    data = Visit(orders=(Order("S1", "Pedido 1"), Order("S2", "Pedido 2", "en ruta")))

    assert codec.decode(codec.encode(data)) == data


def test_timers_come_due_in_their_order() -> None:
    at = int(NOW.timestamp())
    session = Session(seq=3, timers=(Timer(at + 60, "idle"), Timer(at + 20, "call")))

    assert session.wake_at() == datetime.fromtimestamp(at + 20, UTC)
    assert session.due(NOW + timedelta(seconds=19)) == ()
    assert session.due(NOW + timedelta(seconds=20)) == (Wake("call", 3),)
    assert session.due(NOW + timedelta(hours=1)) == (Wake("call", 3), Wake("idle", 3))
    assert Session().wake_at() is None


def test_a_conversation_that_a_person_gives_back_is_at_rest() -> None:
    assert Session(seq=2, status="human").released() == Session(seq=2, status="rest")
    assert Session(seq=2).released() == Session(seq=2)


def test_a_session_of_an_older_version_goes_on() -> None:
    old = Frame(
        "onboarding",
        1,
        "ask_company",
        msgspec.Raw(b'{"rut": "765432103", "company": ""}'),
        back=(("consent", msgspec.Raw(b'{"company": ""}')),),
    )
    book = Book([onboarding], TEXTS)

    turn = book.advance(Session((old,), seq=4), [typed("Panadería Sol")], CTX)

    frame = turn.session.stack[-1]
    assert (frame.state, frame.v) == ("ask_category", 2)
    assert onboarding.codec.decode(frame.data) == Signup(Rut("765432103"), "Panadería Sol")
    assert [state for state, _ in frame.back] == ["ask_name"]


def test_a_result_that_was_under_way_during_a_release_arrives() -> None:
    old = Frame("onboarding", 1, "look_up", msgspec.Raw(b'{"rut": "765432103", "company": "Sol"}'))
    book = Book([onboarding], TEXTS)

    turn = book.advance(Session((old,), seq=4), [Result(4, msgspec.Raw(b"null"))], CTX)

    assert turn.session.state == "onboarding.ask_name"
    assert onboarding.codec.decode(turn.session.stack[-1].data).name == "Sol"


def test_back_finds_a_question_under_its_new_name() -> None:
    frame = Frame(
        "onboarding",
        2,
        "ask_category",
        msgspec.Raw(b'{"name": "Sol"}'),
        back=(("ask_company", msgspec.Raw(b"{}")), ("gone", msgspec.Raw(b"{}"))),
    )
    book = Book([onboarding], TEXTS)

    turn = book.advance(Session((frame,), seq=4), [typed("volver")], CTX)

    assert turn.session.state == "onboarding.ask_name"
    assert turn.session.stack[-1].back == ()


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(Frame("gone", 1, "menu"), id="a-flow-that-is-gone"),
        pytest.param(Frame("onboarding", 2, "gone"), id="a-state-that-is-gone"),
        pytest.param(
            Frame("onboarding", 1, "ask_rut", msgspec.Raw(b'{"rut": 7}')), id="data-of-no-shape"
        ),
        pytest.param(
            Frame("onboarding", 2, "ask_rut", msgspec.Raw(b'{"rut": 7}')), id="data-gone-bad"
        ),
    ],
)
def test_what_cannot_be_read_any_more_begins_anew(frame: Frame) -> None:
    book = Book([onboarding], TEXTS)

    turn = book.advance(Session((frame,), seq=4), [typed("hola")], CTX)

    assert turn.session.state == "onboarding.consent"


def test_a_stored_customer_in_a_sub_flow_is_small() -> None:
    book = Book([customer], TEXTS)
    inside = book.advance(Session(), [typed("crear cuenta")], CTX)

    stored = msgspec.json.encode(inside.session)

    assert len(stored) < 260
    assert msgspec.json.decode(stored, type=Session) == inside.session


def test_data_of_a_flow_is_a_frozen_dataclass() -> None:
    @dataclass
    class Loose:
        rut: Rut = NO_RUT

    with pytest.raises(TypeError, match="frozen dataclass"):
        Flow("loose", Loose, bool)
