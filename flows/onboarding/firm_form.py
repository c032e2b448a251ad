"""The form by which a firm signs up: what it sends, read and judged by the values' own parsers. Pure.

Its screens are `locales/<language>/forms/smarterbot_firm.json`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Self, get_args

from flows.dialog.answers import NAME_MAX, Bad, Form
from flows.dialog.ctx import Ctx
from flows.dialog.events import Heard
from flows.dialog.reading import is_thanks
from flows.onboarding.trade import First, Trade
from flows.values.comuna import Comuna, parse_comuna
from flows.values.email import parse_email
from flows.values.rut import Rut, RutProblem, parse_rut

FORM: Final = "smarterbot_firm"
"""Its name at Meta."""

FIRM: Final = ("name", "rut", "line", "comuna")
START: Final = ("first", "email", "terms", "data")
"""Fields of the two screens."""


class Typed(str):
    """Words in place of the form: whoever cannot open it, or would rather not, goes on in the chat."""

    __slots__ = ()
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("none",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        words = heard.kind == "text" and not is_thanks(heard)
        return cls(heard.text) if words else Bad("none")


@dataclass(frozen=True)
class Filled(Form):
    """The form, as its endpoint closed it."""

    name: str
    rut: str
    line: Trade
    comuna: str
    first: First
    email: str
    terms: Literal[True]
    data: Literal[True]

    @classmethod
    def read(cls, heard: Heard, ctx: Ctx, /) -> Self | Bad:
        form = super().read(heard, ctx)
        if isinstance(form, Bad):
            return form
        told = {
            "name": form.name, "rut": form.rut, "comuna": form.comuna, "email": form.email,
        }  # fmt: skip
        return form if not wrong_with(told, tuple(told)) else Bad("fields")


def shown_facts(told: Mapping[str, str]) -> str:
    """The facts as they were understood, for a last look."""
    rut, comuna = parse_rut(told["rut"]), comuna_of(told["comuna"])
    assert isinstance(rut, Rut)
    assert comuna is not None
    return f"{one_line(told['name'])} · {rut.display} · {comuna.name}, {comuna.region_name}"


def wrong_with(data: Mapping[str, object], names: Sequence[str]) -> dict[str, str]:
    """Field -> what is wrong with it, of those named."""
    found = {name: _JUDGES[name](data.get(name)) for name in names}
    return {name: why for name, why in found.items() if why}


def _name(value: object) -> str:
    return "" if isinstance(value, str) and 2 <= len(one_line(value)) <= NAME_MAX else "name_length"


def _rut(value: object) -> str:
    rut = parse_rut(value) if isinstance(value, str) else RutProblem.SHAPE
    if isinstance(rut, RutProblem):
        return f"rut_{rut.value}"
    return "" if rut.can_be_tenant else "rut_impossible"


def _line_of(value: object) -> str:
    return "" if value in list(Trade) else "line_none"


def _comuna(value: object) -> str:
    if not isinstance(value, str):
        return "comuna_none"
    found = parse_comuna(value)
    if isinstance(found, Comuna) or len(found) == 1:
        return ""
    return "comuna_several" if found else "comuna_none"


def comuna_of(value: str) -> Comuna | None:
    """The one comuna that a text names, or is the only guess for."""
    found = parse_comuna(value)
    if isinstance(found, Comuna):
        return found
    return found[0] if len(found) == 1 else None


def _first(value: object) -> str:
    return "" if value in get_args(First) else "first_none"


def _email(value: object) -> str:
    if value in (None, ""):
        return ""
    return "email_shape" if not isinstance(value, str) or parse_email(value) is None else ""


def _agreed(value: object) -> str:
    return "" if value is True else "agree_none"


_JUDGES: Final = {
    "name": _name, "rut": _rut, "line": _line_of, "comuna": _comuna, "first": _first, "email": _email,
    "terms": _agreed, "data": _agreed,
}  # fmt: skip


def one_line(text: str) -> str:
    return " ".join(text.split())
