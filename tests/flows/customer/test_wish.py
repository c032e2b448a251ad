"""What a customer wants is read from their words: several wishes in one message, the longest phrase first."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from flows.customer.wish import File, Topic, Wish, topics_in
from flows.dialog.answers import Bad
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.events import Attachment, Heard, HeardKind, MediaKind
from flows.values.ids import ContactId, TenantId, Wamid

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("America/Santiago"))
CTX = Ctx(MONDAY, Firm(TenantId("t"), "Panadería Sol"), ContactId("c"))


def read(text: str, kind: HeardKind = "text", media: MediaKind | None = None) -> Wish | Bad:
    file = Attachment(media, "media-1") if media else None
    return Wish.read(Heard(Wamid("wamid.1"), 0, kind, text, media=file), CTX)


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        pytest.param("a qué hora cierran y dónde están?", {"hours", "address"}, id="two wishes"),
        pytest.param("¿tienen despacho a domicilio?", {"stock", "delivery"}, id="delivery"),
        pytest.param("cuánto cuesta la marraqueta", {"prices"}, id="a price"),
        pytest.param("horarioo", {"hours", "week"}, id="a slip of the finger"),
        pytest.param("¿a qué hora salen?", {"hours"}, id="hours, not an exit"),
        pytest.param("menú del día", {"prices"}, id="a dish"),
        pytest.param("¿me mandas el menú?", {"prices"}, id="the carta"),
        pytest.param("¿cuánto por persona?", {"prices"}, id="a price by person, not a person"),
        pytest.param("para 4 personas", set(), id="a number of people"),
        pytest.param("estado de cuenta", {"debt"}, id="a debt, not an order"),
        pytest.param("volver a pedir", {"buy"}, id="to order again, not back"),
        pytest.param("cancelar mi pedido", {"annul"}, id="to annul"),
        pytest.param("anular la hora", {"annul"}, id="to annul an appointment"),
        pytest.param("¿cómo cancelo?", {"payment"}, id="cancelar is to pay"),
        pytest.param("ya cancelé", {"payment"}, id="paid already"),
        pytest.param("¿puedo cancelar con tarjeta?", {"payment"}, id="to pay by card"),
        pytest.param("quiero cancelar mi cuenta", {"account"}, id="to pay or to close an account"),
        pytest.param("quiero darme de baja del plan", {"plan"}, id="to end a plan"),
        pytest.param("dar de baja el servicio", {"plan"}, id="to end a service"),
        pytest.param("cancelar suscripción", {"plan"}, id="to end a subscription"),
        pytest.param("talla más baja", set(), id="a size"),
        pytest.param("presión baja", set(), id="blood pressure"),
        pytest.param("alta médica", set(), id="leaving a hospital"),
        pytest.param("ya no quiero ofertas", {"offers_off"}, id="no offers"),
        pytest.param("mi pedido llegó malo", {"orders", "complaint"}, id="a complaint"),
        pytest.param("tengo 13 años", {"child"}, id="a child"),
        pytest.param("tengo 14 años", set(), id="old enough"),
        pytest.param("what time do you close?", {"hours"}, id="English"),
        pytest.param("asdf", set(), id="nothing"),
    ],
)  # fmt: skip
def test_topics(text: str, topics: set[Topic]) -> None:
    assert set(topics_in(text)) == topics


@pytest.mark.parametrize(
    ("text", "day"),
    [
        pytest.param("abren hoy?", 0, id="today"),
        pytest.param("abren mañana?", 1, id="tomorrow"),
        pytest.param("abren pasado mañana?", 2, id="the day after"),
        pytest.param("abren el domingo?", 6, id="Sunday"),
        pytest.param("abren los lunes?", 0, id="Monday, on a Monday"),
        pytest.param("abren en la mañana?", None, id="in the morning"),
        pytest.param("abren?", None, id="no day"),
    ],
)
def test_the_day_that_is_asked_about(text: str, day: int | None) -> None:
    wish = read(text)

    assert isinstance(wish, Wish)
    assert wish.day == day


def test_a_secret_is_masked_before_anything_else_sees_it() -> None:
    wish = read("mi tarjeta es 4111 1111 1111 1111")

    assert isinstance(wish, Wish)
    assert wish.text == "mi tarjeta es •••"
    assert "secret" in wish.topics


@pytest.mark.parametrize(
    ("kind", "media", "file"),
    [
        pytest.param("media", "image", "image", id="photo"),
        pytest.param("media", "video", "video", id="video"),
        pytest.param("media", "document", "document", id="document"),
        pytest.param("media", "voice", "voice", id="voice note"),
        pytest.param("media", "audio", "voice", id="music"),
        pytest.param("place", None, "place", id="location"),
        pytest.param("contacts", None, "contacts", id="contact"),
    ],
)
def test_what_is_sent_instead_of_words(
    kind: HeardKind, media: MediaKind | None, file: File
) -> None:
    wish = read("", kind, media)

    assert isinstance(wish, Wish)
    assert wish.file == file


@pytest.mark.parametrize(
    ("kind", "media", "why"),
    [
        pytest.param("media", "sticker", "media", id="sticker"),
        pytest.param("unsupported", None, "unknown", id="poll"),
        pytest.param("order", None, "unknown", id="catalogue order"),
        pytest.param("text", None, "unknown", id="nothing"),
    ],
)
def test_what_nobody_can_use(kind: HeardKind, media: MediaKind | None, why: str) -> None:
    assert read("", kind, media) == Bad(why)
