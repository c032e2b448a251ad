"""A turn that says several messages: an item each, in order, each with its own reference for ever."""

from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from flows.dialog.advance import Book
from flows.dialog.answers import Text
from flows.dialog.content import Document, OurFile, Template
from flows.dialog.content import Text as TextContent
from flows.dialog.ctx import Ctx
from flows.dialog.flow import Flow, Step, stay
from flows.dialog.texts import Texts
from flows.values.ids import FileId
from handlers.actions import Say
from handlers.events import Refused
from handlers.journal import RefusedRecord, TurnRecord
from tests.bot.engine.test_turn import ID, NOW, decide, sends, wrote
from tests.flows.dialog.sample_texts import BOT

HOUR_MS = 3_600_000
LONG = "Una frase que dice algo del pan. " * 200


@dataclass(frozen=True)
class Nothing:
    pass


talk = Flow("talk", Nothing, bool, idle=timedelta(days=3))


@talk.asks
def ask(s: Nothing, words: Text, ctx: Ctx) -> Step:
    if words == "boleta":
        return stay(send=Document(OurFile(FileId("f-1")), "F-12.pdf"), sorry=False)
    return stay("long", quotes=ctx.heard, sorry=False)


@ask.after(timedelta(hours=25), template="recordatorio")
def remind(s: Nothing) -> Step:
    return stay("long", sorry=False)


BOOK = Book([talk], Texts({"es_CL": {**BOT, "talk.ask.ask": "¿Algo más?", "talk.ask.long": LONG}}))


def says(words: str = "cuéntame") -> list[Say]:
    return [
        action
        for action in sends(decide(wrote("hola"), wrote(words, 2), book=BOOK))
        if isinstance(action, Say)
    ][1:]


def test_a_long_text_becomes_items_in_order_with_a_reference_each() -> None:
    actions = says()

    bodies = [action.content.body for action in actions if isinstance(action.content, TextContent)]
    assert " ".join(bodies).split() == f"{LONG} ¿Algo más?".split()
    assert [action.ref for action in actions] == [f"{ID}-2-1", f"{ID}-2-2"]


def test_the_first_part_quotes_and_marks_as_read() -> None:
    assert [(action.quotes, action.reads) for action in says()] == [
        ("wamid.2", "wamid.2"),
        ("", ""),
    ]


def test_what_fits_into_one_message_keeps_the_plain_reference() -> None:
    [action] = says("boleta")

    assert action.ref == f"{ID}-2"
    assert action.content == Document(OurFile(FileId("f-1")), "F-12.pdf", "¿Algo más?")


def test_the_journal_holds_each_part() -> None:
    decision = decide(wrote("cuéntame"), wrote("más", 2), book=BOOK)

    records = [record for record in decision.records if isinstance(record, TurnRecord)]
    assert [said.ref for said in records[-1].said] == [f"{ID}-2-1", f"{ID}-2-2"]


def test_after_a_day_one_template_takes_the_place_of_all_parts() -> None:
    rest = replace(decide(wrote("hola"), book=BOOK).conversation, agreed=True)

    later = decide(rest=rest, now_ms=NOW + 26 * HOUR_MS, book=BOOK)

    [action] = sends(later)
    assert isinstance(action, Say)
    assert isinstance(action.content, Template)
    assert action.ref == f"{ID}-2"
    assert len(action.stands_for) == 2


def test_parts_that_find_the_window_closed_wait_together_and_leave_in_order() -> None:
    rest = decide(wrote("hola"), book=BOOK).conversation
    late = NOW + 24 * HOUR_MS
    parts = [
        Refused(
            ref=f"{ID}-9-{n}",
            fault="window_closed",
            say=replace(says()[0], ref=f"{ID}-9-{n}", content=TextContent(f"{n}")),
        )
        for n in (1, 2)
    ]
    parked = decide(*parts, rest=rest, now_ms=late, book=BOOK).conversation

    woken = decide(wrote("boleta", 3, at_ms=late), rest=parked, now_ms=late, book=BOOK)

    refs = [action.ref for action in sends(woken) if isinstance(action, Say)]
    assert refs[:2] == [f"{ID}-9-1", f"{ID}-9-2"]


def test_who_wants_nothing_gets_no_part() -> None:
    rest = decide(wrote("hola"), wrote("baja", 2), book=BOOK).conversation

    later = decide(rest=rest, now_ms=NOW + 26 * HOUR_MS, book=BOOK)

    assert sends(later) == []
    assert {record.ref for record in later.records if isinstance(record, RefusedRecord)} == {
        f"{ID}-3-1",
        f"{ID}-3-2",
    }
