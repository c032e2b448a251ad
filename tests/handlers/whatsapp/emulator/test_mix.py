"""What the people of a load test do is drawn as asked for, and the product's conversation answers all of it."""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from flows.dialog.content import Content
from flows.dialog.ctx import Ctx, Firm
from flows.values.ids import ContactId, ItemId, TenantId, Wamid
from handlers.whatsapp import payload
from handlers.whatsapp.codec import parse
from handlers.whatsapp.emulator.content import Button, Buttons, Menu, Row, Said, Section, Tapped
from handlers.whatsapp.emulator.media import Media
from handlers.whatsapp.emulator.mix import USUAL, Kind, Mix
from handlers.whatsapp.emulator.sends import read_request
from handlers.whatsapp.emulator.updates import envelope, heard
from handlers.whatsapp.emulator.world import Message, Person, PersonId, Send
from tests.flows.product import product_book
from tests.handlers.whatsapp.emulator.stage import ANA, NOW_MS, SOL

PERSON = Person(id=PersonId("p1"), name="Prueba", wa_id=ANA)
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))
SUNDAY_NIGHT = datetime(2026, 11, 22, 23, 0, tzinfo=ZoneInfo("America/Santiago"))
TOLD = {
    "hours": "lun-sáb 8:00-20:00; dom 8:00-14:00",
    "address": "Av. Los Aromos 123",
    "products": "Marraqueta: $1.990 el kilo",
    "delivery": "A toda la comuna",
    "payment": "Efectivo",
    "phone": "+56 2 2345 6789",
}
TENANT = TenantId("00000000-0000-4000-8000-000000000001")
CONTACT = ContactId("00000000-0000-4000-8000-000000000002")


def message(content: Said, wamid: str = "wamid.said") -> Message:
    return Message(
        wamid=wamid, seq=1, number=SOL.id, person=PERSON.id, outbound=True, at_ms=NOW_MS, content=content
    )  # fmt: skip


def as_said(content: Content) -> Message:
    """What the flow says, as the person's phone gets it."""
    body = payload.message(content, to=ANA, recipient="", item=ItemId("wa/c:1-0"), quotes=Wamid(""))
    asked = read_request(msgspec.json.decode(body), lambda *_: None)
    assert isinstance(asked, Send)
    return message(asked.content)


def test_the_parts_are_kept() -> None:
    mix = Mix({"text": 3, "media": 1}, seed=1)

    drawn = Counter(mix.draw(None).kind for _ in range(4_000))

    assert set(drawn) == {"text", "media"}
    assert drawn["text"] / drawn["media"] == pytest.approx(3, rel=0.15)


def test_the_same_seed_is_the_same_load() -> None:
    one, same, other = (Mix(USUAL, seed=seed) for seed in (7, 7, 8))

    acts = [[mix.draw(None) for _ in range(50)] for mix in (one, same, other)]

    assert acts[0] == acts[1] != acts[2]


def test_only_what_leads_to_no_person_is_tapped() -> None:
    rows = (Row("4:customer.lobby:human", "Persona"), Row("4:customer.lobby:hours", "Horario"))
    said = message(Menu("¿Qué necesitas?", "Ver", (Section(rows),)))

    drawn = {Mix({"tap": 1}, seed=seed).draw(said).content for seed in range(20)}

    assert drawn == {Tapped("list_reply", "4:customer.lobby:hours", "Horario")}


def test_where_nothing_can_be_tapped_the_menu_is_asked_for() -> None:
    said = message(Buttons("¿Te llamamos?", (Button("9:customer.pass_on:yes", "Sí"),)))
    mix = Mix({"tap": 1}, seed=1)

    assert [mix.draw(last).kind for last in (None, said)] == ["menu", "menu"]


@pytest.mark.parametrize("now", [MONDAY, SUNDAY_NIGHT], ids=["open", "closed"])
@pytest.mark.parametrize("told", [TOLD, {}], ids=["told", "nothing-told"])
@pytest.mark.parametrize("desk", [True, False], ids=["desk", "no-desk"])
def test_the_product_answers_everything(*, now: datetime, told: dict[str, str], desk: bool) -> None:
    firm = Firm(TENANT, "Panadería Sol", settings=told, desk=desk)
    book, ctx = product_book(), Ctx(now, firm, CONTACT, "Prueba")
    kinds: Counter[Kind] = Counter()
    media = Media(salt="s")
    for seed in range(8):
        mix, session, last = Mix(USUAL, seed=seed), book.fresh(), None
        for n in range(50):
            act = mix.draw(last)
            kinds[act.kind] += 1
            wrote = Message(
                wamid=f"wamid.{n}", seq=n, number=SOL.id, person=PERSON.id, outbound=False, at_ms=NOW_MS, content=act.content, quotes=act.quotes,
            )  # fmt: skip
            medium = media.sample(SOL.id, "photo.jpg", "image/jpeg", now_ms=NOW_MS)
            body = envelope(SOL, [heard(wrote, number=SOL, person=PERSON, medium=medium)])
            [arrived] = parse(body).messages

            turn = book.advance(session, [arrived.heard], ctx)

            assert turn.message is not None, (act, turn.session.state)
            assert turn.session.status != "human"
            session, last = turn.session, as_said(turn.message)
    # Who has been told nothing can only offer a person, and that is never tapped.
    assert set(USUAL) - set(kinds) == (set() if told else {"tap"})
