"""A firm signs up: in the form or in the chat the same values come out, and nothing that its parser would not take."""

from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import Raw

from flows.calls.signup import Agreement, FindRut
from flows.catalogue import LOCALES
from flows.dialog.advance import Turn
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked
from flows.dialog.events import Heard
from flows.dialog.screens import Close, Show, Turned
from flows.dialog.templates import read_templates
from flows.dialog.transcript import play
from flows.marketplace.market import MARKETPLACE, read_market
from flows.onboarding.firm_form import FORM, Filled
from flows.onboarding.signup import Signup, screens, signup
from flows.onboarding.trade import LIKELY, First, Trade
from flows.values.comuna import Comuna
from flows.values.ids import ContactId, TenantId, Wamid
from flows.values.rut import Rut
from tests.flows.product import product_book

CHATS = sorted(Path(__file__).parent.glob("*.chat"))
CTX = Ctx(
    datetime(2026, 11, 23, 10, tzinfo=ZoneInfo("America/Santiago")),
    Firm(
        TenantId("t"),
        "SmarterOS",
        settings={"legal_url": "https://smarteros.example/legal", "terms_version": "3"},
    ),
    ContactId("c"),
)
FIRM: dict[str, object] = {
    "name": "Panadería Sol", "rut": "76.543.210-3", "line": "food", "comuna": "vila alemana",
}  # fmt: skip
START: dict[str, object] = {
    "first": "pedidos", "email": "Ana@Sol.example", "terms": True, "data": True,
}  # fmt: skip


@pytest.mark.parametrize("chat", [pytest.param(chat, id=chat.stem) for chat in CHATS])
def test_a_conversation_comes_true(chat: Path) -> None:
    play(chat.read_text(), product_book())


def fills(**changes: object) -> Turn:
    book = product_book()
    begun = book.advance(
        book.fresh("platform"), [heard("text", text="registrar mi negocio")], CTX, root="platform"
    )
    form = Raw(msgspec.json.encode(FIRM | START | changes))
    return book.advance(begun.session, [heard("form", form=form)], CTX, root="platform")


def heard(kind: str, **more: object) -> Heard:
    return msgspec.convert(
        {"type": "heard", "id": Wamid("wamid.1"), "at": 1, "kind": kind, **more}, Heard
    )


def test_what_the_form_sent_is_read_by_the_values_own_parsers() -> None:
    turn = fills()

    assert signup.codec.decode(turn.session.stack[-1].data) == Signup(
        draft="wamid.1",
        agreements=(
            Agreement("terms", "3", Wamid("wamid.1")),
            Agreement("data_processing", "1", Wamid("wamid.1")),
        ),
        name="Panadería Sol",
        rut=Rut("765432103"),
        line=Trade.food,
        comuna=Comuna("05804"),
        first="pedidos",
        email="ana@sol.example",
    )
    assert [effect for effect in turn.effects if isinstance(effect, Asked)] == [
        Asked(turn.session.seq, FindRut(Rut("765432103")))
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"rut": "76.543.210-4"},
        {"rut": "60.803.000-K"},
        {"rut": 765432103},
        {"email": "ana"},
        {"name": " "},
        {"line": "banking"},
        {"comuna": "Macondo"},
        {"comuna": "san pedro"},
        {"first": "robar"},
        {"terms": False},
        {"data": "true"},
    ],
    ids=str,
)
def test_a_client_that_made_its_own_answer_is_not_believed(changes: dict[str, object]) -> None:
    turn = fills(**changes)

    assert turn.effects == ()
    assert turn.session.state == "signup.fill_in"


def sends(screen: str, data: dict[str, object]) -> Show | Close:
    return screens(Turned(screen, "sent", data), CTX)


SHOWN: dict[str, object] = {"shown": "Panadería Sol · 76.543.210-3 · Villa Alemana, Valparaíso"}


def test_a_form_that_opens_shows_its_first_screen() -> None:
    assert screens(Turned("", "opened", {}), CTX) == Show("FIRM")


def test_the_facts_of_the_firm_come_along_as_they_were_understood() -> None:
    assert sends("FIRM", FIRM) == Show("START", FIRM | SHOWN)


def test_the_start_completes_the_form() -> None:
    assert sends("START", FIRM | START) == msgspec.convert({"result": FIRM | START}, Close)


def test_an_e_mail_may_be_left_out() -> None:
    closed = sends("START", FIRM | START | {"email": ""})

    assert closed == msgspec.convert({"result": FIRM | START | {"email": ""}}, Close)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"rut": "76.543.210-4"}, {"rut": "rut_digit"}),
        ({"rut": "66.666.666-6"}, {"rut": "rut_impossible"}),
        ({"rut": "60803000-K"}, {"rut": "rut_impossible"}),
        ({"rut": "hola"}, {"rut": "rut_shape"}),
        ({"rut": 7}, {"rut": "rut_shape"}),
        ({"name": "x", "line": "?"}, {"name": "name_length", "line": "line_none"}),
        ({"comuna": "Macondo"}, {"comuna": "comuna_none"}),
        ({"comuna": "san pedro"}, {"comuna": "comuna_several"}),
        ({"comuna": None}, {"comuna": "comuna_none"}),
    ],
    ids=str,
)
def test_what_does_not_fit_is_shown_where_it_was_typed(
    changes: dict[str, object], wrong: dict[str, str]
) -> None:
    assert sends("FIRM", FIRM | changes) == Show("FIRM", wrong=wrong)
    # Nobody gets past the first screen by naming the second.
    assert sends("START", FIRM | START | changes) == Show("FIRM", wrong=wrong)


def test_the_start_is_asked_again_with_the_firm_kept() -> None:
    shown = sends("START", FIRM | {"first": "?", "email": "ana@", "terms": False, "data": True})

    assert shown == Show(
        "START",
        FIRM | SHOWN,
        {"first": "first_none", "email": "email_shape", "terms": "agree_none"},
    )


@pytest.mark.parametrize("locale", ["es_CL", "en"])
def test_the_forms_file_asks_for_what_the_flow_reads(locale: str) -> None:
    form = msgspec.json.decode((LOCALES / locale / "forms" / f"{FORM}.json").read_bytes())
    parts = [
        part
        for screen in form["screens"]
        for part in screen["layout"]["children"][0]["children"]
        if "name" in part
    ]
    rows = {
        part["name"]: [row["id"] for row in part["data-source"]]
        for part in parts
        if "data-source" in part
    }

    assert [part["name"] for part in parts] == [field.name for field in fields(Filled)]
    assert rows == {"line": list(Trade), "first": list(get_args(First))}


def test_every_word_that_a_screen_may_say_has_a_text() -> None:
    book = product_book()
    form = book.forms[FORM]

    for locale in book.texts.locales:
        for word in form.says:
            assert 0 < len(book.texts.voice(locale).render(form.key(word), {})) <= 30


def test_what_can_be_had_first_is_what_the_marketplace_has() -> None:
    market = read_market(MARKETPLACE, read_templates(LOCALES))

    assert sorted(get_args(First)) == sorted(market.templates)
    assert sorted(LIKELY) == sorted(Trade)
