"""The facts of a firm that registers: asked in one form, or one by one where no form can be shown.

Run it from another flow, `@onboarding.runs(firm, begin=…)`: it ends with `Registered`. The form itself is
`locales/<language>/forms/smarterbot_firm.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal, Self, get_args

from flows.dialog import content
from flows.dialog.answers import NAME_MAX, Bad, Email, Form, Name
from flows.dialog.calls import Failed
from flows.dialog.ctx import Ctx
from flows.dialog.events import Heard
from flows.dialog.flow import Flow, Speak, Step, go, say
from flows.dialog.reading import is_thanks
from flows.dialog.screens import Close, Show, Turned
from flows.values.email import parse_email
from flows.values.rut import Rut, RutProblem, parse_rut

FORM: Final = "smarterbot_firm"
"""Its name at Meta."""

Line = Literal["food", "shop", "services", "health", "building", "transport", "lodging", "other"]
"""What a firm lives by: broad on purpose, nobody should have to think."""


@dataclass(frozen=True)
class Registered:
    """What a firm told of itself, each value read by its own parser."""

    agreed: bool = False
    """Whether we may keep it. If not, there is nothing here."""
    name: str = ""
    rut: Rut = Rut("")  # noqa: RUF009 - frozen
    line: Line = "other"
    owner: str = ""
    email: str = ""


@dataclass(frozen=True)
class Filled(Form):
    """The form, as its endpoint closed it."""

    name: str
    rut: str
    line: Line
    owner: str
    email: str
    agree: Literal[True]

    @classmethod
    def read(cls, heard: Heard, ctx: Ctx, /) -> Self | Bad:
        form = super().read(heard, ctx)
        if isinstance(form, Bad):
            return form
        told = {"name": form.name, "rut": form.rut, "owner": form.owner, "email": form.email}
        return form if not _wrong_with(told, told) else Bad("fields")


class Typed(str):
    """Words in place of the form: whoever cannot open it, or would rather not, goes on in the chat."""

    __slots__ = ()
    numeric: ClassVar[bool] = False
    whys: ClassVar[tuple[str, ...]] = ("none",)

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        words = heard.kind == "text" and not is_thanks(heard)
        return cls(heard.text) if words else Bad("none")


firm = Flow("firm", Registered, Registered)


# ---------------------------------------------------------------- the form


def _form(_told: Registered, words: Speak) -> content.Form:
    return content.Form(words.body, words("open"), name=FORM)


@firm.asks(sends=_form)
def fill_in(told: Registered, answer: Filled | Typed) -> Step:
    if isinstance(answer, str):
        return go(ask_name, told, "in_chat")
    rut = parse_rut(answer.rut)
    email = parse_email(answer.email)
    assert isinstance(rut, Rut)
    assert email is not None
    return _ends(Registered(
        agreed=True, name=_line(answer.name), rut=rut, line=answer.line, owner=_line(answer.owner), email=email
    ))  # fmt: skip


@fill_in.failed
def without_form(told: Registered, _failed: Failed) -> Step:
    """It is blocked, throttled or not published, or the number has no key."""
    return go(ask_name, told, "in_chat")


# ---------------------------------------------------------------- one by one


@firm.asks
def ask_name(told: Registered, name: Name) -> Step:
    return go(ask_rut, replace(told, name=str(name)))


@firm.asks
def ask_rut(told: Registered, rut: Rut) -> Step:
    return go(ask_line, replace(told, rut=rut))


@firm.asks
def ask_line(told: Registered, line: Line) -> Step:
    return go(ask_owner, replace(told, line=line))


@firm.asks
def ask_owner(told: Registered, owner: Name) -> Step:
    return go(ask_email, replace(told, owner=str(owner)))


@firm.asks
def ask_email(told: Registered, email: Email) -> Step:
    return go(agree, replace(told, email=str(email)))


@firm.asks(by_tap=True)
def agree(told: Registered, agrees: bool) -> Step:
    if not agrees:
        return firm.end(Registered(), "not_kept")
    return _ends(replace(told, agreed=True))


def _ends(told: Registered) -> Step:
    return firm.end(told, say("noted", firm_name=told.name))


# ---------------------------------------------------------------- the form's screens

_FIRM: Final = ("name", "rut", "line")
_OWNER: Final = ("owner", "email", "agree")


@firm.form(
    FORM,
    says=(
        "name_length", "rut_shape", "rut_digit", "rut_missing_digit", "rut_impossible", "line_none",
        "owner_length", "email_shape", "agree_none",
    ),
)  # fmt: skip
def screens(turned: Turned, _ctx: Ctx) -> Show | Close:
    """FIRM, then OWNER. What FIRM sent comes back with OWNER, from outside, and is looked at again."""
    if turned.how != "sent":
        return Show("FIRM")
    if wrong := _wrong_with(turned.data, _FIRM):
        return Show("FIRM", wrong=wrong)
    told = {field: str(turned.data[field]) for field in _FIRM}
    if turned.screen != "OWNER":
        return Show("OWNER", told)
    if wrong := _wrong_with(turned.data, _OWNER):
        return Show("OWNER", told, wrong)
    owner = {field: str(turned.data[field]) for field in ("owner", "email")}
    return Close({**told, **owner, "agree": True})


def _wrong_with(
    data: Mapping[str, object], fields: Mapping[str, object] | tuple[str, ...]
) -> dict[str, str]:
    """Field -> what is wrong with it, of those named."""
    found = {field: _JUDGES[field](data.get(field)) for field in fields}
    return {field: why for field, why in found.items() if why}


def _name(value: object) -> str:
    return "" if isinstance(value, str) and 2 <= len(_line(value)) <= NAME_MAX else "name_length"


def _owner(value: object) -> str:
    return "owner_length" if _name(value) else ""


def _rut(value: object) -> str:
    rut = parse_rut(value) if isinstance(value, str) else RutProblem.SHAPE
    return f"rut_{rut.value}" if isinstance(rut, RutProblem) else ""


def _line_of(value: object) -> str:
    return "" if value in get_args(Line) else "line_none"


def _email(value: object) -> str:
    return "email_shape" if not isinstance(value, str) or parse_email(value) is None else ""


def _agree(value: object) -> str:
    return "" if value is True else "agree_none"


_JUDGES: Final = {
    "name": _name, "rut": _rut, "line": _line_of, "owner": _owner, "email": _email, "agree": _agree,
}  # fmt: skip


def _line(words: str) -> str:
    return " ".join(words.split())
