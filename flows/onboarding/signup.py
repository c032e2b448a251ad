"""A firm signs up: in one form, or question by question where no form is shown or wanted. Same data, same readers.

The platform's root flow runs it. The form is `locales/<language>/forms/smarterbot_firm.json`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal, get_args

from babel.dates import format_skeleton

from flows.calls.desk import Handoff, OpenHandoff
from flows.calls.signup import (
    Agreement,
    Claim,
    Document,
    FindRut,
    OpenFirm,
    OwnFirm,
    RequestJoin,
)
from flows.calls.taxpayer import FindTaxpayer, Taxpayer
from flows.customer.wish import Wish
from flows.dialog.answers import NAME_MAX, Comunas, Email, Name
from flows.dialog.calls import Failed
from flows.dialog.content import Form as FormContent
from flows.dialog.content import Template
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Consented
from flows.dialog.flow import Flow, Lost, Speak, Step, go, hand_off, say, stay
from flows.dialog.screens import Close, Show, Turned
from flows.onboarding.firm_form import (
    FIRM,
    FORM,
    START,
    Filled,
    Typed,
    comuna_of,
    one_line,
    shown_facts,
    wrong_with,
)
from flows.onboarding.trade import LIKELY, First, Trade
from flows.values.comuna import Comuna
from flows.values.email import parse_email
from flows.values.rut import Rut, parse_rut

KEPT: Final = timedelta(days=7)
"""How long a sign-up that was left is kept."""

AWAY: Final = timedelta(hours=6)
"""After so long a silence a greeting means: where were we?"""

PREFILL_WITHIN: Final = timedelta(seconds=6)
"""So long a register may take. What it knows is a suggestion, which nobody waits for longer."""

SUGGESTED_MAX: Final = NAME_MAX

REMIND_AT: Final = time(10)
"""Of the next day, by the clock of the platform's firm."""

DOCUMENTS: Final[tuple[Document, ...]] = get_args(Document)

EACH: Final = "accept_each"
"""Setting of the platform's firm: a tap for each contract."""

Field = Literal["name", "rut", "line", "comuna", "email"]


@dataclass(frozen=True)
class Signup:
    """What is known so far. It is kept for `KEPT`, however often its owner comes and goes."""

    draft: str = ""
    """Names it from the first acceptance on: what is opened twice under it is one firm."""
    agreements: tuple[Agreement, ...] = ()
    rut: Rut = Rut("")  # noqa: RUF009 - frozen
    suggested: str = ""
    """What a register calls it."""
    name: str = ""
    line: Trade | None = None
    comuna: Comuna = Comuna("")  # noqa: RUF009 - frozen
    likely: tuple[str, ...] = ()
    """Codes of the comunas that an answer may mean."""
    email: str = ""
    first: First | None = None
    remind: int = 0
    """When they want to be reminded, seconds since the epoch; 0: they do not."""
    tries: int = 0
    """How often it could not be opened."""

    @property
    def missing(self) -> int:
        """Steps to go, the last tap among them."""
        return 1 + sum(not known for known in (self.rut, self.name, self.line, self.comuna))

    @property
    def of_person(self) -> bool:
        """Whether the RUT is a natural person's, and so personal data."""
        return bool(self.rut) and not self.rut.is_company


Came = Literal[
    "opened",
    "declined",
    "mine",  # the RUT is a firm's that they belong to
    "joining",
    "erased",
]


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    came: Came
    firm: OwnFirm | None = None


signup = Flow("signup", Signup, Outcome, idle=KEPT, away=AWAY)


# ---------------------------------------------------------------- the form


def _form(_s: Signup, words: Speak) -> FormContent:
    return FormContent(words.body, words("open"), name=FORM)


@signup.asks(sends=_form, rests=True)
def fill_in(s: Signup, answer: Filled | Typed, ctx: Ctx) -> Step:
    if isinstance(answer, str):
        return go(accept, s, "in_chat")
    rut, comuna = parse_rut(answer.rut), comuna_of(answer.comuna)
    assert isinstance(rut, Rut)
    assert comuna is not None
    agreed = _agree(_agree(s, "terms", ctx), "data_processing", ctx)
    told = replace(
        agreed,
        rut=rut,
        name=one_line(answer.name),
        line=answer.line,
        comuna=comuna,
        first=answer.first,
        email=parse_email(answer.email) or "",
    )
    return go(check, told)


@fill_in.failed
def without_form(s: Signup, _failed: Failed) -> Step:
    """It is blocked, throttled or not published, or the number has no key."""
    return go(accept, s, "hello")


@signup.calls(lambda s: FindRut(s.rut))
def check(s: Signup, claim: Claim) -> Step:
    """The form is complete: only whose the RUT is was not known yet."""
    return go(open_firm, s) if claim == "free" else _claimed(s, claim)


@check.failed
def not_checked(s: Signup, _failed: Failed) -> Step:
    return go(summary, s, "not_checked")


# ---------------------------------------------------------------- the contracts


@signup.asks(by_tap=True)
def accept(s: Signup, answer: Literal["yes", "no", "doubts"], ctx: Ctx) -> Step:
    """Two contracts, both named and linked: one tap, or the first of two."""
    match answer:
        case "yes":
            agreed = _agree(s, "terms", ctx)
            if ctx.firm.settings.get(EACH) == "yes":
                return go(accept_data, agreed)
            return go(ask_rut, _agree(agreed, "data_processing", ctx), "thanks")
        case "no":
            return _declined()
        case "doubts":
            return stay("explained", sorry=False)


@signup.asks(by_tap=True)
def accept_data(s: Signup, answer: Literal["yes", "no", "doubts"], ctx: Ctx) -> Step:
    match answer:
        case "yes":
            return go(ask_rut, _agree(s, "data_processing", ctx), "thanks")
        case "no":
            return _declined()
        case "doubts":
            return stay("explained", sorry=False)


def _declined() -> Step:
    return signup.end(Outcome("declined"), "declined")


def _agree(s: Signup, document: Document, ctx: Ctx) -> Signup:
    """With this message: it is the proof."""
    made = Agreement(document, version_of(ctx.firm, document), ctx.heard)
    others = tuple(each for each in s.agreements if each.document != document)
    return replace(s, draft=s.draft or str(ctx.heard), agreements=(*others, made))


def version_of(platform: Firm, document: Document) -> str:
    """Which version of a contract is the one in force."""
    return platform.settings.get(f"{document}_version", "1")


# ---------------------------------------------------------------- the firm


@signup.asks
def ask_rut(s: Signup, rut: Rut) -> Step:
    if not rut.can_be_tenant:
        return stay("not_theirs")
    known = replace(s, rut=rut, suggested="" if rut != s.rut else s.suggested)
    return go(look_up, known)


@signup.calls(lambda s: FindRut(s.rut))
def look_up(s: Signup, claim: Claim) -> Step:
    if claim != "free":
        return _claimed(s, claim)
    return _on(s) if s.name else go(suggest, s)


@look_up.failed
def not_looked_up(s: Signup, _failed: Failed) -> Step:
    return go(ask_rut, replace(s, rut=Rut("")), "later")


def _claimed(s: Signup, claim: Claim) -> Step:
    if claim == "mine":
        return signup.end(Outcome("mine"), say("mine", rut=s.rut))
    return go(offer_join, s)


@signup.calls(lambda s: FindTaxpayer(s.rut), within=PREFILL_WITHIN)
def suggest(s: Signup, found: Taxpayer | None) -> Step:
    name = one_line(found.name)[:SUGGESTED_MAX] if found else ""
    return go(ask_name, replace(s, suggested=name), "noted")


@suggest.failed
def nothing_suggested(s: Signup, _failed: Failed) -> Step:
    return go(ask_name, s, "noted")


def _suggestion(s: Signup) -> Sequence[str]:
    return ["keep"] if s.suggested else []


@signup.asks(shows=_suggestion)
def ask_name(s: Signup, name: Literal["keep"] | Name) -> Step:
    named = replace(s, name=s.suggested if name == "keep" and s.suggested else str(name))
    return _on(named)


@ask_name.on("correct")
def not_a_name(s: Signup) -> Step:
    """Read here, too, where any word may be the name."""
    return _correct(s)


@signup.asks
def ask_line(s: Signup, line: Trade) -> Step:
    return _on(replace(s, line=line))


@signup.asks
def ask_comuna(s: Signup, told: Comuna | Comunas) -> Step:
    if isinstance(told, Comuna):
        return _on(replace(s, comuna=told))
    if len(told) == 1:
        # The summary asks for it.
        return _on(replace(s, comuna=told[0]))
    return go(pick_comuna, replace(s, likely=told))


@dataclass(frozen=True, slots=True)
class Row:
    """One comuna of those that an answer may mean."""

    id: str
    title: str
    description: str


def _rows(s: Signup) -> list[Row]:
    comunas = map(Comuna, s.likely)
    return [Row(comuna, comuna.name, comuna.region_name) for comuna in comunas]


@signup.picks(_rows)
def pick_comuna(s: Signup, row: Row | Literal["none"]) -> Step:
    if row == "none":
        return go(ask_comuna, replace(s, likely=()), "try_near")
    return _on(replace(s, comuna=Comuna(row.id), likely=()))


def _on(s: Signup) -> Step:
    """To what is still missing; else to the last look."""
    if not s.rut:
        return go(ask_rut, s)
    if not s.name:
        return go(ask_name, s)
    if s.line is None:
        return go(ask_line, s)
    return go(summary, s) if s.comuna else go(ask_comuna, s)


# ---------------------------------------------------------------- all of it


def _firsts(s: Signup) -> Sequence[str]:
    """The likeliest first, then a way to correct."""
    likely = LIKELY[s.line or Trade.other]
    return [*likely, *(each for each in get_args(First) if each not in likely), "fix"]


@signup.asks(by_tap=True, shows=_firsts)
def summary(s: Signup, answer: First | Literal["fix"]) -> Step:
    """What they want first is the tap that opens the firm: one question less."""
    if answer == "fix":
        return go(fix, s)
    return go(open_firm, replace(s, first=answer))


@signup.on("correct")
def correct(s: Signup) -> Step:
    """Whatever was told so far, from any question on."""
    return _correct(s)


def _correct(s: Signup) -> Step:
    return go(fix, s) if s.rut or s.name else stay("nothing_yet", sorry=False)


def _told(s: Signup) -> Sequence[str]:
    known = {"name": s.name, "rut": s.rut, "line": s.line, "comuna": s.comuna, "email": s.name}
    return [field for field, value in known.items() if value]


@signup.asks(shows=_told)
def fix(s: Signup, field: Field) -> Step:
    match field:
        case "name":
            return go(ask_name, replace(s, suggested=""))
        case "rut":
            return go(ask_rut, s)
        case "line":
            return go(ask_line, s)
        case "comuna":
            return go(ask_comuna, s)
        case "email":
            return go(ask_email, s)


@signup.asks
def ask_email(s: Signup, email: Literal["none"] | Email) -> Step:
    return _on(replace(s, email="" if email == "none" else str(email)))


def _opening(s: Signup) -> OpenFirm:
    return OpenFirm(
        draft=s.draft,
        rut=s.rut,
        name=s.name,
        line=s.line or Trade.other,
        comuna=s.comuna,
        template=s.first or "",
        agreements=s.agreements,
        email=s.email,
    )


@signup.calls(_opening, refuses=("back", "cancel", "menu"))
def open_firm(s: Signup, firm: OwnFirm | None) -> Step:
    if firm is None:
        return go(offer_join, s)
    return signup.end(Outcome("opened", firm))


@open_firm.on("correct")
def too_late(s: Signup) -> Step:
    """It is being opened as it stands."""
    return stay("refused", repeat=False)


@open_firm.failed
def not_opened(s: Signup, _failed: Failed) -> Step:
    """Nothing is lost: the same draft, opened again, is the same firm."""
    if s.tries:
        return go(call_person, replace(s, tries=0))
    return go(summary, replace(s, tries=1), "not_opened")


# ---------------------------------------------------------------- a firm that is there


@signup.asks
def offer_join(s: Signup, answer: Literal["join", "other", "human"]) -> Step:
    """Whose it is, is not ours to tell."""
    match answer:
        case "join":
            return go(join, s)
        case "other":
            return go(ask_rut, replace(s, rut=Rut(""), suggested=""))
        case "human":
            return go(call_person, s)


@signup.calls(lambda s: RequestJoin(s.rut))
def join(s: Signup, sent: bool) -> Step:
    if not sent:
        return go(call_person, s, "nobody_to_ask")
    return signup.end(Outcome("joining"), "asked")


@join.failed
def not_asked(s: Signup, _failed: Failed) -> Step:
    return go(offer_join, s, "not_asked")


# ---------------------------------------------------------------- ways out, and back in


@signup.on("cancel")
@signup.on("menu")
def leave(s: Signup) -> Step:
    """Nothing is opened, and nothing that was told is lost."""
    return go(paused, s) if s.draft else signup.end(Outcome("declined"), "declined")


@signup.on("human")
def person(s: Signup) -> Step:
    return go(call_person, s)


@signup.gives_up
def lost(s: Signup, _why: Lost) -> Step:
    """Three answers that did not fit."""
    return go(call_person, s)


@signup.calls(lambda s: OpenHandoff(about="signup"))
def call_person(s: Signup, opened: Handoff, ctx: Ctx) -> Step:
    if ctx.firm.desk:
        return hand_off("bot.human")
    return go(paused, s, "recorded")


@call_person.failed
def not_called(s: Signup, _failed: Failed, ctx: Ctx) -> Step:
    """The request is recorded with the turn, whether the desk answers or not."""
    return hand_off("bot.human") if ctx.firm.desk else go(paused, s, "recorded")


@call_person.on("human")
def being_called(s: Signup) -> Step:
    return stay(repeat=False)


@signup.on("status")
def status(s: Signup) -> Step:
    return stay("so_far", sorry=False)


def _kept(s: Signup) -> Sequence[str]:
    """Only a firm that has a name can be reminded of."""
    return ["go_on", "tomorrow", "erase"] if s.name else ["go_on", "erase"]


@signup.asks(rests=True, shows=_kept)
def paused(s: Signup, answer: Literal["go_on", "tomorrow", "erase"] | Wish, ctx: Ctx) -> Step:
    match answer:
        case "tomorrow":
            day = ctx.now.date() + timedelta(days=1)
            at = datetime.combine(day, REMIND_AT, ctx.now.tzinfo)
            allowed = Consented("notices", granted=True)
            return go(waiting, replace(s, remind=int(at.timestamp())), also=(allowed,))
        case "erase":
            return signup.end(Outcome("erased"), "erased")
        case _:
            return _go_on(s)


@paused.on("cancel")
@paused.on("menu")
def still_paused(s: Signup) -> Step:
    return go(paused, s)


def _go_on(s: Signup) -> Step:
    """The next question, and how many are left."""
    if not s.agreements:
        return go(accept, s, "so_far")
    if len(s.agreements) < len(DOCUMENTS):
        return go(accept_data, s, "so_far")
    if not s.rut:
        return go(ask_rut, s, "so_far")
    if not s.name:
        return go(ask_name, s, "so_far")
    if s.line is None:
        return go(ask_line, s, "so_far")
    if not s.comuna:
        return go(ask_comuna, s, "so_far")
    return go(summary, s, "so_far")


# ---------------------------------------------------------------- reminded, because they asked for it


@signup.asks(rests=True)
def waiting(s: Signup, answer: Literal["go_on", "erase"] | Wish) -> Step:
    return _reminded(s, answer)


@signup.asks(rests=True)
def reminded(s: Signup, answer: Literal["go_on", "erase"] | Wish) -> Step:
    return _reminded(s, answer)


def _reminded(s: Signup, answer: Literal["go_on", "erase"] | Wish) -> Step:
    if answer == "erase":
        return signup.end(Outcome("erased"), "erased")
    return _go_on(s)


def _remind_at(s: Signup) -> datetime | None:
    return datetime.fromtimestamp(s.remind, UTC) if s.remind else None


def _reminder(s: Signup, ctx: Ctx) -> Template:
    """The same words once the window is closed."""
    until = format_skeleton("MMMMd", ctx.now.date() + KEPT, locale=ctx.locale)
    return Template(
        "registro_pendiente",
        ctx.locale,
        variables=(
            ("nombre", one_line(ctx.name)[:NAME_MAX] or s.name),
            ("negocio", s.name),
            ("fecha", until),
            ("pasos", str(s.missing)),
        ),
    )


@waiting.after(_remind_at, template=_reminder)
def remind(s: Signup) -> Step:
    """Once, and never again."""
    return go(reminded, replace(s, remind=0))


# ---------------------------------------------------------------- the form's screens


@signup.form(
    FORM,
    says=(
        "name_length", "rut_shape", "rut_digit", "rut_missing_digit", "rut_impossible", "line_none",
        "comuna_none", "comuna_several", "first_none", "email_shape", "agree_none",
    ),
)  # fmt: skip
def screens(turned: Turned, _ctx: Ctx) -> Show | Close:
    """FIRM, then START. What FIRM sent comes back with START, from outside, and is looked at again."""
    if turned.how != "sent":
        return Show("FIRM")
    if wrong := wrong_with(turned.data, FIRM):
        return Show("FIRM", wrong=wrong)
    told = {field: str(turned.data[field]) for field in FIRM}
    if turned.screen != "START":
        return Show("START", {**told, "shown": shown_facts(told)})
    if wrong := wrong_with(turned.data, START):
        return Show("START", {**told, "shown": shown_facts(told)}, wrong)
    first, email = str(turned.data["first"]), str(turned.data.get("email") or "")
    return Close({**told, "first": first, "email": email, "terms": True, "data": True})
