"""A firm's facts: in the form or in the chat, the same values come out, and nothing that its parser would not take."""

from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import Raw

from flows.catalogue import LOCALES
from flows.dialog.advance import Turn
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Ended
from flows.dialog.events import Heard
from flows.dialog.screens import Close, Show, Turned
from flows.dialog.transcript import play
from flows.onboarding.firm import FORM, Filled, Line, Registered, screens
from flows.values.ids import ContactId, TenantId, Wamid
from flows.values.rut import Rut
from tests.flows.product import product_book

CHATS = sorted(Path(__file__).parent.glob("*.chat"))
CTX = Ctx(
    datetime(2026, 11, 23, 10, tzinfo=ZoneInfo("America/Santiago")),
    Firm(TenantId("t"), "SmarterOS"),
    ContactId("c"),
)
FIRM: dict[str, object] = {"name": "Panadería Sol", "rut": "76.543.210-3", "line": "food"}
OWNER: dict[str, object] = {"owner": "Ana Rojas", "email": "Ana@Sol.example", "agree": True}


@pytest.mark.parametrize("chat", [pytest.param(chat, id=chat.stem) for chat in CHATS])
def test_a_conversation_comes_true(chat: Path) -> None:
    play(chat.read_text(), product_book())


def fills(**changes: object) -> Turn:
    book = product_book()
    session = book.advance(
        book.fresh("firm"), [heard("text", text="hola")], CTX, root="firm"
    ).session
    form = Raw(msgspec.json.encode(FIRM | OWNER | changes))
    return book.advance(session, [heard("form", form=form)], CTX, root="firm")


def heard(kind: str, **more: object) -> Heard:
    return msgspec.convert(
        {"type": "heard", "id": Wamid("wamid.1"), "at": 1, "kind": kind, **more}, Heard
    )


def test_what_the_form_sent_is_read_by_the_values_own_parsers() -> None:
    told = Registered(
        agreed=True, name="Panadería Sol", rut=Rut("765432103"), line="food", owner="Ana Rojas",
        email="ana@sol.example",
    )  # fmt: skip

    assert fills().effects == (Ended("firm", told),)


@pytest.mark.parametrize(
    "changes",
    [
        {"rut": "76.543.210-4"},
        {"email": "ana"},
        {"name": " "},
        {"owner": "A" * 61},
        {"line": "banking"},
        {"agree": False},
        {"agree": "true"},
        {"rut": 765432103},
    ],
    ids=str,
)
def test_a_client_that_made_its_own_answer_is_not_believed(changes: dict[str, object]) -> None:
    turn = fills(**changes)

    assert turn.effects == ()
    assert turn.session.state == "firm.fill_in"


def sends(screen: str, data: dict[str, object]) -> Show | Close:
    return screens(Turned(screen, "sent", data), CTX)


def test_a_form_that_opens_shows_its_first_screen() -> None:
    assert screens(Turned("", "opened", {}), CTX) == Show("FIRM")


def test_the_facts_of_the_firm_lead_to_its_owner_and_come_along() -> None:
    assert sends("FIRM", FIRM) == Show("OWNER", FIRM)


def test_the_owner_completes_the_form() -> None:
    assert sends("OWNER", FIRM | OWNER) == msgspec.convert({"result": FIRM | OWNER}, Close)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"rut": "76.543.210-4"}, {"rut": "rut_digit"}),
        ({"rut": "hola"}, {"rut": "rut_shape"}),
        ({"rut": 7}, {"rut": "rut_shape"}),
        ({"name": "x", "line": "?"}, {"name": "name_length", "line": "line_none"}),
    ],
    ids=str,
)
def test_what_does_not_fit_is_shown_where_it_was_typed(
    changes: dict[str, object], wrong: dict[str, str]
) -> None:
    assert sends("FIRM", FIRM | changes) == Show("FIRM", wrong=wrong)
    # Nobody gets past the first screen by naming the second.
    assert sends("OWNER", FIRM | OWNER | changes) == Show("FIRM", wrong=wrong)


def test_the_owner_is_asked_again_with_the_firm_kept() -> None:
    shown = sends("OWNER", FIRM | {"owner": "Ana", "email": "ana@", "agree": False})

    assert shown == Show("OWNER", FIRM, {"email": "email_shape", "agree": "agree_none"})


def test_the_forms_file_asks_for_what_the_flow_reads() -> None:
    form = msgspec.json.decode((LOCALES / "es_CL" / "forms" / f"{FORM}.json").read_bytes())
    parts = [
        part
        for screen in form["screens"]
        for part in screen["layout"]["children"][0]["children"]
        if "name" in part
    ]

    assert [part["name"] for part in parts] == [field.name for field in fields(Filled)]
    [lines] = [part["data-source"] for part in parts if part["name"] == "line"]
    assert [line["id"] for line in lines] == list(get_args(Line))


def test_every_word_that_a_screen_may_say_has_a_text() -> None:
    book = product_book()
    form = book.forms[FORM]

    for locale in book.texts.locales:
        for word in form.says:
            assert 0 < len(book.texts.voice(locale).render(form.key(word), {})) <= 30
