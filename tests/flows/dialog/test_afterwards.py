"""What flows make of things that answer no question: edits, unreadable messages, somebody of the firm who speaks."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from flows.dialog.advance import Turn
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.events import OVERSIZED, Event, Heard, HeardKind, TakenOver
from flows.dialog.session import Session
from flows.values.ids import ContactId, TenantId, Wamid
from tests.flows.product import product_book

NOW = datetime(2026, 11, 23, 13, tzinfo=UTC)
BOOK = product_book()
FIRM = Firm(TenantId("00000000-0000-4000-8000-000000000001"), "Panadería Sol")


def heard(text: str = "", kind: HeardKind = "text") -> Heard:
    return Heard(Wamid("w"), int(NOW.timestamp()), kind, text)


def after(session: Session, *events: Event, now: datetime = NOW) -> Turn:
    return BOOK.advance(session, events, Ctx(now, FIRM, ContactId("c")))


def begun() -> Session:
    return after(BOOK.fresh(), heard("hola")).session


def said(turn: Turn) -> str:
    return str(getattr(turn.message, "body", ""))


def test_an_edit_answers_no_question_and_changes_no_state() -> None:
    session = begun()

    turn = after(session, heard("precios", "edit"))

    assert said(turn).startswith("Leí tu mensaje antes de que lo cambiaras.")
    assert (turn.session.state, turn.session.seq) == (session.state, session.seq)


def test_an_edit_where_nothing_is_under_way_begins_nothing() -> None:
    turn = after(BOOK.fresh(), heard("precios", "edit"))

    assert turn.message is None
    assert turn.session.stack == ()


def test_an_edit_that_speaks_of_danger_is_heard_as_any_message() -> None:
    plain, edited = (after(begun(), heard("me quiero matar", kind)) for kind in ("text", "edit"))

    assert said(plain) == said(edited)


def test_what_cannot_be_read_is_told_once_and_the_question_stays() -> None:
    session = begun()
    first = after(session, heard("poll", "unsupported"))
    second = after(first.session, heard("poll", "unsupported"))
    moved_on = after(second.session, heard("precios"))
    third = after(moved_on.session, heard("poll", "unsupported"))

    assert said(first).startswith("Ese tipo de mensaje no me llega.")
    assert second.message is None
    assert second.quiet
    assert {turn.session.state for turn in (first, second)} == {session.state}
    assert said(third).startswith("Ese tipo de mensaje no me llega.")


def test_a_file_that_is_too_large_is_named_as_the_reason() -> None:
    turn = after(begun(), heard(OVERSIZED, "unsupported"))

    assert "100 MB" in said(turn)


def test_timers_wait_until_nobody_of_the_firm_speaks() -> None:
    until = NOW + timedelta(days=40)
    session = after(begun(), TakenOver(int(until.timestamp()))).session

    assert session.wake_at() == until
    assert session.due(until - timedelta(seconds=1)) == ()
    assert session.due(until) != ()


def test_baja_takes_effect_whoever_speaks() -> None:
    until = NOW + timedelta(hours=2)
    session = after(begun(), TakenOver(int(until.timestamp()))).session

    turn = after(session, heard("baja"))

    assert [type(effect).__name__ for effect in turn.effects] == ["Stopped"]
    assert turn.session.quiet_until == int(until.timestamp())


def test_silence_that_is_over_leaves_nothing_in_the_session() -> None:
    session = after(begun(), TakenOver(int(NOW.timestamp()) + 60)).session

    turn = after(session, heard("precios"), now=NOW + timedelta(minutes=2))

    assert turn.session == replace(turn.session, quiet_until=0)
    assert turn.message is not None
