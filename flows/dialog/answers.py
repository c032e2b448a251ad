"""Answer types: each reads itself from what was heard, and a step hears the value."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Protocol, Self, runtime_checkable

import msgspec

from flows.dialog.calls import decoder
from flows.dialog.content import PhoneRequest, PlaceRequest
from flows.dialog.ctx import Ctx
from flows.dialog.events import Attachment, Heard
from flows.values.comuna import Comuna, parse_comuna
from flows.values.email import parse_email
from flows.values.money import read_pesos
from flows.values.phone import parse_phone
from flows.values.rut import Rut, RutProblem, parse_rut
from flows.values.words import bare, plain

NAME_MAX: Final = 60
TEXT_MAX: Final = 4096

__all__ = [
    "Answer",
    "Bad",
    "Comuna",
    "Comunas",
    "Email",
    "Form",
    "Media",
    "Name",
    "OwnPhone",
    "Pesos",
    "Phone",
    "Place",
    "Reader",
    "Rut",
    "Text",
    "When",
    "reader_of",
]


@dataclass(frozen=True, slots=True)
class Bad:
    """Not understood; `why` completes the text key `<type>.<why>`."""

    why: str


Request = type[PlaceRequest] | type[PhoneRequest]


@runtime_checkable
class Answer(Protocol):
    """A type that a step's second parameter may have.

    It may also have the class attributes `numeric`, `verbatim`, `whys` and `request`: see `Reader`.
    """

    @classmethod
    def read(cls, heard: Heard, ctx: Ctx, /) -> Self | Bad: ...


@dataclass(frozen=True, slots=True)
class Reader:
    """How one type of answer is read."""

    key: str
    """The type's name in text keys: `Rut` is `rut`, `WorkDay` is `work_day`."""
    read: Callable[[Heard, Ctx], object]
    """Gives the value or `Bad`."""
    numeric: bool = True
    """Whether a bare number can be an answer: then `2` is not the second option."""
    verbatim: bool = False
    """Whether any word can be the answer: then commands are not read, but *human* and *stop*."""
    whys: tuple[str, ...] = ()
    """Reasons of its `Bad`s: each has a text `<type>.<why>`."""
    request: Request | None = None
    """WhatsApp's own button that gives such an answer: shown where there are no options to show."""


class Text(str):
    """Any words."""

    __slots__ = ()
    numeric: ClassVar[bool] = False
    verbatim: ClassVar[bool] = True
    whys: ClassVar[tuple[str, ...]] = ("empty",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        words = heard.text.strip()
        return cls(words[:TEXT_MAX]) if words else Bad("empty")


class Name(str):
    """What a person or a firm is called."""

    __slots__ = ()
    numeric: ClassVar[bool] = False
    verbatim: ClassVar[bool] = True
    whys: ClassVar[tuple[str, ...]] = ("length",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        words = " ".join(heard.text.split())
        return cls(words) if 2 <= len(words) <= NAME_MAX else Bad("length")


class Phone(str):
    """Digits of a phone as WhatsApp keeps it, typed or shared by the person."""

    __slots__ = ()
    whys: ClassVar[tuple[str, ...]] = ("shape",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        number = parse_phone(heard.phone or heard.text)
        return Bad("shape") if number is None else cls(number)


class OwnPhone(str):
    """Digits of the person's own phone, shared with WhatsApp's button: a typed one may be anybody's."""

    __slots__ = ()
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("none",)
    request: ClassVar[Request] = PhoneRequest

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        return cls(heard.phone) if heard.phone else Bad("none")


class Email(str):
    """An address of e-mail, as its domain reads it. Whether it is theirs, a letter proves."""

    __slots__ = ()
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("shape",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        address = parse_email(heard.text)
        return Bad("shape") if address is None else cls(address)


class Comunas(tuple[Comuna, ...]):
    """The comunas that a text may mean, the likeliest first: hear `Comuna | Comunas`, and let the person pick."""

    __slots__ = ()
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("none",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        found = parse_comuna(heard.text)
        likely = (found,) if isinstance(found, Comuna) else found
        return cls(likely) if likely else Bad("none")


class Pesos(int):
    """An amount: `$15.000`, `15 lucas`. Echo it before it is used."""

    whys: ClassVar[tuple[str, ...]] = ("shape",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        amount = read_pesos(heard.text)
        return Bad("shape") if amount is None else cls(amount)


@dataclass(frozen=True, slots=True)
class When:
    """A day and an hour to come: `mañana a las 5`, `el viernes a las 16:30`, `24/11 10:00`."""

    at: datetime
    """Aware, in the firm's zone."""
    whys: ClassVar[tuple[str, ...]] = ("shape", "past")

    @classmethod
    def read(cls, heard: Heard, ctx: Ctx, /) -> Self | Bad:
        at = _read_when(heard.text, ctx.now)
        return at if isinstance(at, Bad) else cls(at)


@dataclass(frozen=True, slots=True)
class Media:
    """A file that the person sent, not yet fetched."""

    file: Attachment
    caption: str = ""
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("none",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        if heard.media is None or heard.media.kind == "sticker":
            return Bad("none")
        return cls(heard.media, heard.text)


@dataclass(frozen=True, slots=True)
class Place:
    """A location that the person shared."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    numeric: ClassVar[bool] = False
    request: ClassVar[Request] = PlaceRequest
    whys: ClassVar[tuple[str, ...]] = ("none",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        if heard.place is None:
            return Bad("none")
        place = heard.place
        return cls(place.latitude, place.longitude, place.name, place.address)


@dataclass(frozen=True)
class Form:
    """A WhatsApp form: subclass it as a frozen dataclass with the form's fields.

    Its state says with `sends` how the form is opened.
    """

    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("none", "fields")

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        if heard.kind != "form":
            return Bad("none")
        try:
            form: Self = decoder(cls).decode(heard.form)
        except msgspec.ValidationError:
            return Bad("fields")
        return form


def read_rut(heard: Heard, _ctx: Ctx) -> Rut | Bad:
    found = parse_rut(heard.text)
    return Bad(found.value) if isinstance(found, RutProblem) else found


def read_comuna(heard: Heard, _ctx: Ctx) -> Comuna | Bad:
    found = parse_comuna(heard.text)
    if isinstance(found, Comuna):
        return found
    return Bad("several" if found else "none")


def reader_of(kind: Any) -> Reader | None:
    """How `kind` is read; None if it is not an answer type."""
    if kind is Rut:
        return Reader("rut", read_rut, whys=tuple(problem.value for problem in RutProblem))
    if kind is Comuna:
        return Reader("comuna", read_comuna, numeric=False, whys=("none", "several"))
    if not isinstance(kind, type) or not hasattr(kind, "read"):
        return None
    return Reader(
        snake(kind.__name__),
        kind.read,
        numeric=getattr(kind, "numeric", True),
        verbatim=getattr(kind, "verbatim", False),
        whys=getattr(kind, "whys", ()),
        request=getattr(kind, "request", None),
    )


def snake(name: str) -> str:
    """`WorkDay` as `work_day`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


_DAYS: Final = ("lunes", "martes", "miercoles", "jueves", "viernes", "sabado", "domingo")
_DAYS_EN: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEAR: Final = {
    "hoy": 0, "manana": 1, "pasado manana": 2, "pasado": 2,
    "today": 0, "tomorrow": 1, "day after tomorrow": 2,
}  # fmt: skip
_WHEN = re.compile(
    r"(?:(?:el|este|on|this|the) )?(?:(?P<near>hoy|pasado manana|manana|pasado|today|tomorrow|day after tomorrow)"
    rf"|(?P<weekday>{'|'.join((*_DAYS, *_DAYS_EN))})|(?P<day>\d{{1,2}}) (?P<month>\d{{1,2}}))"
    r"(?: (?:a las?|las?|at))? (?P<hour>\d{1,2})(?: (?P<minute>[0-5]\d))?(?: ?(?:h|hrs?|horas))?"
    r"(?: (?:de la |in the )?(?P<half>manana|tarde|noche|am|pm|a m|p m|morning|afternoon|evening))?"
)
_LATE: Final = frozenset(("tarde", "noche", "pm", "p m", "afternoon", "evening"))
_EARLY: Final = frozenset(("manana", "am", "a m", "morning"))


def _read_when(text: str, now: datetime) -> datetime | Bad:
    found = _WHEN.fullmatch(bare(text)) or _WHEN.fullmatch(plain(text))
    if found is None:
        return Bad("shape")
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    if hour < 12 and (found["half"] in _LATE or (found["half"] not in _EARLY and hour <= 7)):
        # Firms are open by day: "a las 5" is in the afternoon unless the person says otherwise.
        hour += 12
    day = _day(found, now)
    if hour > 23 or day is None:
        return Bad("shape")
    at = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return at if at > now else Bad("past")


def _day(found: re.Match[str], now: datetime) -> datetime | None:
    if found["near"]:
        return now + timedelta(days=_NEAR[found["near"]])
    if found["weekday"]:
        names = _DAYS if found["weekday"] in _DAYS else _DAYS_EN
        return now + timedelta(days=(names.index(found["weekday"]) - now.weekday()) % 7 or 7)
    try:
        day = now.replace(month=int(found["month"]), day=int(found["day"]))
        return day if day.date() >= now.date() else day.replace(year=now.year + 1)
    except ValueError:
        return None
