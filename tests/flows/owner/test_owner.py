"""The owner's conversation: every transcript comes true, and what they can choose is theirs to do."""

from datetime import datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from flows.calls.signup import OwnFirm, Part, SetUp
from flows.dialog.advance import Book
from flows.dialog.answers import Bad
from flows.dialog.content import ROWS_MAX
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.events import Heard, HeardKind, SharedCard
from flows.dialog.transcript import play
from flows.owner.invitation import invitation
from flows.owner.owner import Colleague, Owner, owner
from flows.owner.tasks import OPEN_TO_ALL, Task, names_invitation, task_in
from flows.values.ids import ContactId, TenantId, Wamid
from tests.flows.product import product_book, product_texts

CHATS = sorted(Path(__file__).parent.glob("*.chat"))
CTX = Ctx(
    datetime(2026, 11, 23, 10, tzinfo=ZoneInfo("America/Santiago")),
    Firm(TenantId("t"), "SmarterOS"),
    ContactId("c"),
)
SOL = OwnFirm(
    TenantId("t1"), "Panadería Sol", "owner", demo_link="https://d", connect_link="https://c"
)
NORTE = OwnFirm(
    TenantId("t2"), "Peluquería Norte", "agent", demo_link="https://d", connect_link="https://c"
)


@pytest.mark.parametrize("chat", [pytest.param(chat, id=chat.stem) for chat in CHATS])
def test_a_conversation_comes_true(chat: Path) -> None:
    # By themselves: the platform's root runs them once it knows who writes.
    play(chat.read_text(), Book((owner, invitation), product_texts()))


# ------------------------------------------------------------------ the list


def rows(*firms: OwnFirm, at: OwnFirm) -> list[str]:
    shows = owner.states["home"].shows
    assert shows is not None
    return list(shows(Owner(firms, tenant=at.tenant), ctx=CTX))


@pytest.mark.parametrize("firms", [(SOL,), (SOL, NORTE)], ids=["one", "several"])
def test_the_list_fits_one_page(firms: tuple[OwnFirm, ...]) -> None:
    assert len(rows(*firms, at=SOL)) == ROWS_MAX


def test_an_agent_is_shown_nothing_that_changes_the_firm() -> None:
    assert rows(NORTE, at=NORTE) == ["status", "panel", "another", "human"]
    assert set(rows(SOL, NORTE, at=NORTE)) <= OPEN_TO_ALL


def test_what_this_platform_has_not_is_not_offered() -> None:
    bare = OwnFirm(TenantId("t1"), "Panadería Sol", "admin")

    assert {"try", "connect"}.isdisjoint(rows(bare, at=bare))


def test_a_number_that_is_connected_is_not_offered_to_be_connected() -> None:
    done = OwnFirm(
        SOL.tenant, SOL.name, "owner", parts=(SetUp("number", "done"),), connect_link="https://c"
    )

    assert "connect" not in rows(done, at=done)


@pytest.mark.parametrize("locale", product_book().texts.locales)
def test_each_part_has_a_name_of_its_own(locale: str) -> None:
    told: dict[str, Part] = {}
    for part in get_args(Part):
        firm = OwnFirm(SOL.tenant, SOL.name, "owner", parts=(SetUp(part, "failed"),))
        names = {"s": Owner((firm,), tenant=firm.tenant)}
        told[product_book().texts.voice(locale).render("owner.how_it_is", names)] = part

    assert set(told.values()) == set(get_args(Part))
    assert {"chatwoot", "odoo", "n8n"}.isdisjoint(" ".join(told).split())


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("written", "task"),
    [
        ("cambiar horario", "hours"),
        ("Horario", "hours"),
        ("hola, quiero cambiar el horario por favor", "hours"),
        ("conectar", "connect"),
        ("conectar mi WhatsApp", "connect"),
        ("invitar", "invite"),
        ("invitar a alguien", "invite"),
        ("registrar otro negocio", "another"),
        ("otro negocio", "switch"),
        ("entrar al panel", "panel"),
        ("change address", "address"),
    ],
)
def test_a_task_is_named_by_its_words(written: str, task: Task) -> None:
    assert task_in(written) == task


@pytest.mark.parametrize(
    "written",
    ["Horario de verano: lun-vie 9-18", "Dirección: Calle 1", "no quiero invitar", "hola", ""],
)
def test_a_task_is_the_whole_message(written: str) -> None:
    assert task_in(written) is None


@pytest.mark.parametrize(
    "written", ["Ver invitación", "See invitation", "invitacion", "acepto la invitación"]
)
def test_an_invitation_is_asked_for_by_its_words(written: str) -> None:
    assert names_invitation(written)


def test_whoever_invites_does_not_ask_for_an_invitation() -> None:
    assert not names_invitation("invitar")


# ------------------------------------------------------------------ a colleague's phone


def heard(kind: HeardKind, text: str = "", *cards: SharedCard) -> Heard:
    return Heard(Wamid("wamid.1"), 1, kind, text, cards=cards)


@pytest.mark.parametrize(
    "typed",
    ["9 6123 4567", "+56 9 6123 4567", "56961234567", "09 6123 4567", "961234567", "6123 4567"],
)
def test_a_chilean_phone_is_read_as_people_write_it(typed: str) -> None:
    assert Colleague.read(heard("text", typed), CTX) == "56961234567"


def test_a_foreign_phone_names_its_country() -> None:
    assert Colleague.read(heard("text", "+54 9 11 2345 6789"), CTX) == "5491123456789"


def test_a_contact_card_is_read() -> None:
    card = SharedCard("Ana", ("+56 9 6123 4567", "56961234567"))

    assert Colleague.read(heard("contacts", "", card), CTX) == "56961234567"


@pytest.mark.parametrize(
    "cards",
    [
        (),
        (SharedCard("Ana"),),
        (SharedCard("Ana", ("+56 9 6123 4567", "+56 2 2345 6789")),),
        (SharedCard("Ana", ("+56 9 6123 4567",)), SharedCard("Luz", ("+56 9 8765 4321",))),
    ],
    ids=["none", "no-phone", "two-phones", "two-people"],
)
def test_a_card_that_leaves_a_choice_is_not_guessed(cards: tuple[SharedCard, ...]) -> None:
    assert Colleague.read(heard("contacts", "", *cards), CTX) == Bad("card")


@pytest.mark.parametrize("typed", ["hola", "12", "9 6123"])
def test_what_is_no_phone_is_not_taken_for_one(typed: str) -> None:
    assert Colleague.read(heard("text", typed), CTX) == Bad("shape")
