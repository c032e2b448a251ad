"""Answer types read themselves: what is heard becomes a value, or a reason that a text explains."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from flows.dialog.answers import (
    Bad,
    Comuna,
    Comunas,
    Form,
    Media,
    Name,
    Pesos,
    Phone,
    Place,
    Rut,
    Text,
    When,
    reader_of,
)
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.events import Attachment, Heard, Location
from flows.values.ids import ContactId, TenantId, Wamid

ZONE = ZoneInfo("America/Santiago")
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE)
CTX = Ctx(MONDAY, Firm(TenantId("t"), "Panadería Sol"), ContactId("c"))


def typed(text: str) -> Heard:
    return Heard(Wamid("w"), 0, "text", text)


def at(year: int, month: int, day: int, hour: int, minute: int) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZONE)


@dataclass(frozen=True)
class Visit(Form):
    guests: int


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        pytest.param(Text, "  hola  ", Text("hola"), id="words"),
        pytest.param(Text, " ", Bad("empty"), id="no-words"),
        pytest.param(Name, "Panadería  Sol", Name("Panadería Sol"), id="a-name"),
        pytest.param(Name, "S", Bad("length"), id="a-letter"),
        pytest.param(Name, "S" * 61, Bad("length"), id="a-novel"),
        pytest.param(Rut, "76.543.210-3", Rut("765432103"), id="a-rut"),
        pytest.param(Rut, "76.543.210-4", Bad("digit"), id="a-wrong-digit"),
        pytest.param(Rut, "no sé", Bad("shape"), id="no-rut"),
        pytest.param(Phone, "+56 9 6123 4567", Phone("56961234567"), id="a-phone"),
        pytest.param(Phone, "mi celular", Bad("shape"), id="no-phone"),
        pytest.param(Pesos, "15 lucas", Pesos(15_000), id="an-amount"),
        pytest.param(Pesos, "mucho", Bad("shape"), id="no-amount"),
        pytest.param(Comuna, "villa alemana", Comuna("05804"), id="a-comuna"),
        pytest.param(Comuna, "villa al", Bad("several"), id="begun-comuna"),
        pytest.param(Comuna, "no sé", Bad("none"), id="no-comuna"),
        pytest.param(
            Comunas, "villa al", Comunas((Comuna("05804"), Comuna("07407"))), id="likely-comunas"
        ),
        pytest.param(Comunas, "no sé", Bad("none"), id="no-likely-comuna"),
        pytest.param(Media, "foto", Bad("none"), id="words-are-no-file"),
        pytest.param(Place, "aquí", Bad("none"), id="words-are-no-place"),
        pytest.param(Visit, "dos", Bad("none"), id="words-are-no-form"),
    ],
)
def test_what_is_typed_is_read(kind: type, text: str, value: object) -> None:
    reader = reader_of(kind)
    assert reader is not None

    read = reader.read(typed(text), CTX)

    assert read == value


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("mañana a las 5", at(2026, 11, 24, 17, 0), id="in-the-afternoon"),
        pytest.param("hoy a las 11:30", at(2026, 11, 23, 11, 30), id="today"),
        pytest.param(
            "pasado mañana a las 9 de la mañana", at(2026, 11, 25, 9, 0), id="in-two-days"
        ),
        pytest.param("el viernes a las 16:30 h", at(2026, 11, 27, 16, 30), id="a-weekday"),
        pytest.param("lunes 12", at(2026, 11, 30, 12, 0), id="the-same-weekday-is-next-week"),
        pytest.param("24/11 10:00", at(2026, 11, 24, 10, 0), id="a-date"),
        pytest.param("5/1 a las 10", at(2027, 1, 5, 10, 0), id="a-date-next-year"),
        pytest.param("tomorrow at 5 pm", at(2026, 11, 24, 17, 0), id="in-english"),
    ],
)
def test_a_day_and_hour_to_come(text: str, moment: datetime) -> None:
    assert When.read(typed(text), CTX) == When(moment)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("hoy a las 9", "past", id="an-hour-ago"),
        pytest.param("cuando quieras", "shape", id="no-moment"),
        pytest.param("31/2 10:00", "shape", id="no-such-day"),
        pytest.param("mañana a las 25", "shape", id="no-such-hour"),
    ],
)
def test_a_moment_that_cannot_be(text: str, why: str) -> None:
    assert When.read(typed(text), CTX) == Bad(why)


def test_a_file_is_read_with_its_caption() -> None:
    photo = Attachment("image", "m1")
    heard = Heard(Wamid("w"), 0, "media", "mi torta", media=photo)

    assert Media.read(heard, CTX) == Media(photo, "mi torta")


def test_a_place_is_read() -> None:
    heard = Heard(Wamid("w"), 0, "place", place=Location(-33.04, -71.37, "Plaza"))

    assert Place.read(heard, CTX) == Place(-33.04, -71.37, "Plaza")


def test_a_shared_contact_is_a_phone() -> None:
    heard = Heard(Wamid("w"), 0, "contacts", phone="+56961234567")

    assert Phone.read(heard, CTX) == Phone("56961234567")


@pytest.mark.parametrize(
    ("form", "value"),
    [
        pytest.param(b'{"guests": 4}', Visit(4), id="filled"),
        pytest.param(b'{"guests": "many"}', Bad("fields"), id="of-another-shape"),
    ],
)
def test_a_form_is_read_into_its_fields(form: bytes, value: object) -> None:
    heard = Heard(Wamid("w"), 0, "form", form=msgspec.Raw(form))

    assert Visit.read(heard, CTX) == value


def test_what_cannot_be_read_is_no_answer_type() -> None:
    assert reader_of(int) is None
    assert reader_of(dict[str, str]) is None
