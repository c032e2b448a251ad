"""The conversation of a firm's own people: how far their firm is, what it tells its customers, and who belongs to it.

A sub-flow of the platform's: `@platform.runs(owner, lambda s: Owner(firms=…))`. What they may do is asked anew when it
begins, and decided by whoever serves the calls; rows that are hidden only spare a refusal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Literal, Self

from flows.calls.owner import INVITED_DAYS, INVITED_MAX, ChangeFirm, Invite, Invited, ReadFirm, Told
from flows.calls.signup import FindOwn, Known, OwnFirm, Part
from flows.customer.answers import days_of, ended
from flows.customer.shop import LINE_MAX, SettingError, check_setting
from flows.dialog.answers import Bad, Text
from flows.dialog.calls import Failed
from flows.dialog.content import Link
from flows.dialog.ctx import Ctx
from flows.dialog.events import Heard
from flows.dialog.flow import Flow, Say, Step, go, say, stay
from flows.dialog.question import short
from flows.login import Entry, panel
from flows.owner.tasks import Task, Wanted, may
from flows.values.hours import HoursError, Opening, parse_hours
from flows.values.ids import TenantId
from flows.values.phone import parse_phone

PAUSE: Final = timedelta(milliseconds=1500)
"""An address or a greeting is written in pieces."""
PART_MAX: Final = 40
"""So much of what was not understood is said back."""

Week = list[tuple[date, date, tuple[Opening, ...]]]


class Went(StrEnum):
    """How it ended."""

    left = "left"
    another = "another"
    """They want to register another firm."""
    person = "person"
    """They want a person."""


@dataclass(frozen=True)
class FirmRow:
    """A firm to choose."""

    id: str
    title: str


class Colleague(str):
    """Digits of somebody else's phone: typed, or of the one contact card that was shared."""

    __slots__ = ()
    whys: ClassVar[tuple[str, ...]] = ("shape", "card")

    @classmethod
    def read(cls, heard: Heard, _ctx: Ctx, /) -> Self | Bad:
        if heard.kind != "contacts":
            number = parse_phone(heard.text)
            return Bad("shape") if number is None else cls(number)
        found = {parse_phone(phone) for card in heard.cards for phone in card.phones}
        numbers = [number for number in found if number is not None]
        return cls(numbers[0]) if len(numbers) == 1 else Bad("card")


@dataclass(frozen=True)
class Owner:
    firms: tuple[OwnFirm, ...] = ()
    """As the platform knows them; read anew at the beginning."""
    task: Task | None = None
    """What they came for."""
    tenant: TenantId = TenantId("")  # noqa: RUF009 - frozen
    """The firm chosen."""
    now: str = ""
    """What the setting is that they change; empty: not set."""
    value: str = ""
    """What it is to be."""
    phone: str = ""
    """Of whom they invite."""
    role: Literal["admin", "agent"] = "agent"

    @property
    def firm(self) -> OwnFirm:
        return next(firm for firm in self.firms if firm.tenant == self.tenant)

    @property
    def several(self) -> bool:
        return len(self.firms) > 1

    @property
    def done(self) -> tuple[Part, ...]:
        return self._parts("done")

    @property
    def failed(self) -> tuple[Part, ...]:
        return self._parts("failed")

    @property
    def missing(self) -> tuple[Part, ...]:
        """What this platform has no system for."""
        return self._parts("not_connected")

    @property
    def theirs(self) -> tuple[Part, ...]:
        """What waits for them."""
        return tuple(
            part.part
            for part in self.firm.parts
            if part.state == "pending" and part.reason == "owner"
        )

    @property
    def under_way(self) -> tuple[Part, ...]:
        return tuple(part for part in self._parts("pending") if part not in self.theirs)

    def _parts(self, state: str) -> tuple[Part, ...]:
        return tuple(part.part for part in self.firm.parts if part.state == state)


owner = Flow("owner", Owner, Went)


# ---------------------------------------------------------------- which firm


@owner.calls(lambda s: FindOwn())
def look(s: Owner, known: Known) -> Step:
    if not known.firms:
        return owner.end(Went.left, "nowhere")
    return _begin(replace(s, firms=known.firms))


@look.failed
def not_seen(s: Owner, _failed: Failed) -> Step:
    """What the platform has told is good enough for all but how things stand."""
    if not s.firms:
        return owner.end(Went.left, "down")
    s = _chosen(s)
    return (
        go(settled, s, "down") if s.task == "status" and s.tenant else _begin(replace(s, task=None))
    )


def _begin(s: Owner) -> Step:
    s = _chosen(s)
    if not s.tenant:
        return go(choose, s)
    if s.task == "status":
        return _tell(s)
    return _do(s, s.task) if s.task is not None else go(home, s)


def _chosen(s: Owner) -> Owner:
    """With the firm they are at, if they still are, or the only one."""
    tenants = [firm.tenant for firm in s.firms]
    if s.tenant in tenants:
        return s
    return replace(s, tenant=tenants[0] if len(tenants) == 1 else TenantId(""))


def _rows(s: Owner) -> Sequence[FirmRow]:
    return [FirmRow(firm.tenant, firm.name) for firm in s.firms]


@owner.picks(_rows)
def choose(s: Owner, answer: FirmRow | Literal["human"]) -> Step:
    if answer == "human":
        return owner.end(Went.person)
    s = replace(s, tenant=TenantId(answer.id))
    if s.task == "status":
        return _tell(s)
    return _do(s, s.task) if s.task is not None else go(home, s)


# ---------------------------------------------------------------- what they can do


def _tasks(s: Owner) -> Sequence[str]:
    """At most ten rows: with several firms another one is registered by its words."""
    firm = s.firm
    there = {
        "try": bool(firm.demo_link),
        "connect": bool(firm.connect_link) and "number" not in s.done,
    }
    rows: list[Task] = [
        "status",
        "try",
        "connect",
        "hours",
        "address",
        "greeting",
        "invite",
        "panel",
        "switch" if s.several else "another",
        "human",
    ]
    return [row for row in rows if may(firm.role, row) and there.get(row, True)]


@owner.asks(shows=_tasks, rests=True)
def home(s: Owner, task: Task | Wanted) -> Step:
    return _do(s, task.task if isinstance(task, Wanted) else task)


def _next(s: Owner) -> Sequence[str]:
    return (
        ["try", "more", "human"]
        if s.firm.demo_link and may(s.firm.role, "try")
        else ["more", "human"]
    )


@owner.asks(shows=_next, rests=True)
def settled(s: Owner, answer: Literal["try", "more", "human"] | Wanted) -> Step:
    """Something was done or said: nothing is asked."""
    match answer:
        case "more":
            return go(home, s)
        case "try" | "human":
            return _do(s, answer)
        case Wanted(task=task):
            return _do(s, task)


def _do(s: Owner, task: Task) -> Step:
    s = Owner(s.firms, task, s.tenant)
    if not may(s.firm.role, task):
        return go(settled, s, "not_yours")
    match task:
        case "status":
            return go(look, s)
        case "try":
            return _try(s)
        case "connect":
            return _connect(s)
        case "hours" | "address" | "greeting":
            return go(read, s)
        case "invite":
            return go(ask_role, s)
        case "panel":
            return go(entering, s)
        case "another":
            return owner.end(Went.another)
        case "switch":
            return go(choose, Owner(s.firms)) if s.several else go(home, s)
        case "human":
            return owner.end(Went.person)


@owner.on("menu")
def menu(s: Owner) -> Step:
    return go(look, _calm(s))


@owner.on("status")
def status(s: Owner) -> Step:
    return go(look, Owner(s.firms, "status", s.tenant))


@owner.on("cancel")
def leave(s: Owner) -> Step:
    """Out of a question: nothing was changed."""
    return go(settled, _calm(s), "unchanged")


@home.on("cancel")
@settled.on("cancel")
@choose.on("cancel")
def bye(s: Owner) -> Step:
    return owner.end(Went.left, "bye")


@home.on("back")
def other_firm(s: Owner) -> Step:
    return go(choose, Owner(s.firms)) if s.several else go(home, s)


# ---------------------------------------------------------------- how it is, and where it is tried


def _tell(s: Owner) -> Step:
    return go(settled, _calm(s), "how_it_is" if s.firm.parts else "no_parts")


def _try(s: Owner) -> Step:
    link = s.firm.demo_link
    if not link:
        return go(settled, s, "no_demo")
    if not link.startswith("https://"):
        return go(settled, s, say("try_plain", link=link))
    return go(settled, s, "try_it", send=lambda words: Link(words.body, words("open_demo"), link))


def _connect(s: Owner) -> Step:
    link = s.firm.connect_link
    if "number" in s.done:
        return go(settled, s, "connected")
    if not link:
        return go(settled, s, "no_connect")
    if not link.startswith("https://"):
        return go(settled, s, say("connect_plain", link=link))
    return go(
        settled, s, "connect_here", send=lambda words: Link(words.body, words("open_connect"), link)
    )


@owner.runs(panel, lambda s: Entry())
def entering(s: Owner, _entered: bool) -> Step:
    return go(settled, s)


# ---------------------------------------------------------------- what customers are told


@owner.calls(lambda s: ReadFirm(s.tenant))
def read(s: Owner, told: Told | None) -> Step:
    if told is None:
        return go(settled, _calm(s), "not_yours")
    s = replace(s, now=told.settings.get(s.task or "", ""))
    match s.task:
        case "hours":
            return _ask_hours(s)
        case "address":
            return go(ask_address, s)
        case _:
            return go(ask_greeting, s)


def _ask_hours(s: Owner) -> Step:
    return go(ask_hours, s, say("week", why="now", days=_days(s.now)) if s.now else None)


@owner.asks(pause=PAUSE)
def ask_hours(s: Owner, answer: Literal["keep", "human"] | Wanted | Text) -> Step:
    match answer:
        case "keep":
            return _kept(s)
        case "human":
            return owner.end(Went.person)
        case Wanted(task=task):
            return _do(s, task)
        case text:
            words = _misread(text)
            return _confirm(s, text) if words is None else stay(words)


@owner.asks(pause=PAUSE)
def confirm_hours(s: Owner, right: bool | Wanted | Text) -> Step:
    """Said back as it was understood; hours that are written in place of a yes are the correction."""
    match right:
        case True:
            return _set(s)
        case False:
            return _ask_hours(s)
        case Wanted(task=task):
            return _do(s, task)
        case text:
            words = _misread(text)
            return _confirm(s, text) if words is None else go(ask_hours, s, words)


def _confirm(s: Owner, text: str) -> Step:
    value = check_setting("hours", text)
    return go(confirm_hours, replace(s, value=value), say("week", why="read", days=_days(value)))


def _misread(text: str) -> Say | None:
    """Why these are no opening hours; None if they are."""
    try:
        check_setting("hours", text)
    except SettingError as error:
        cause = error.__cause__
        assert isinstance(cause, HoursError)
        return say("hours_unfit", part=short(cause.part, PART_MAX), why=cause.why)
    return None


def _days(hours: str) -> Week:
    return list(days_of(parse_hours(hours)))


@owner.asks(pause=PAUSE)
def ask_address(s: Owner, answer: Literal["keep", "human"] | Wanted | Text) -> Step:
    match answer:
        case "keep":
            return _kept(s)
        case "human":
            return owner.end(Went.person)
        case Wanted(task=task):
            return _do(s, task)
        case text:
            return _take(s, text)


def _ways(s: Owner) -> Sequence[str]:
    return ["keep", "remove", "human"] if s.now else ["keep", "human"]


@owner.asks(pause=PAUSE, shows=_ways)
def ask_greeting(s: Owner, answer: Literal["keep", "remove", "human"] | Wanted | Text) -> Step:
    match answer:
        case "keep":
            return _kept(s)
        case "remove":
            return go(write, replace(s, value=""))
        case "human":
            return owner.end(Went.person)
        case Wanted(task=task):
            return _do(s, task)
        case text:
            return _take(s, text)


def _take(s: Owner, text: str) -> Step:
    try:
        value = check_setting(s.task or "", text)
    except SettingError:
        # One line of words has nothing else that may not fit.
        return stay(say("too_long", has=len(" ".join(text.split())), most=LINE_MAX))
    return _set(replace(s, value=value))


def _set(s: Owner) -> Step:
    return _kept(s) if s.value == s.now else go(write, s)


def _kept(s: Owner) -> Step:
    return go(settled, _calm(s), "as_it_was")


def _calm(s: Owner) -> Owner:
    """After something was done, or was not."""
    return Owner(s.firms, tenant=s.tenant)


@owner.calls(lambda s: ChangeFirm(s.tenant, s.task or "", s.value))
def write(s: Owner, done: bool) -> Step:
    if not done:
        return go(settled, _calm(s), "not_changed")
    match s.task:
        case "hours":
            return go(settled, _calm(s), say("week", why="set", days=_days(s.value)))
        case "address":
            return go(settled, _calm(s), say("address_set", address=s.value))
        case _:
            return go(
                settled, _calm(s), say("greeting_set", greeting=ended(s.value) if s.value else "")
            )


# ---------------------------------------------------------------- who belongs to it


@owner.asks
def ask_role(s: Owner, answer: Literal["agent", "admin"] | Wanted) -> Step:
    """Nobody is made an owner by chat."""
    if isinstance(answer, Wanted):
        return _do(s, answer.task)
    return go(ask_phone, replace(s, role=answer))


@owner.asks
def ask_phone(s: Owner, answer: Colleague | Wanted) -> Step:
    if isinstance(answer, Wanted):
        return _do(s, answer.task)
    return go(confirm_invite, replace(s, phone=str(answer)))


@owner.asks(by_tap=True)
def confirm_invite(
    s: Owner, answer: Literal["invite_them", "other_phone", "no_invite"] | Wanted
) -> Step:
    match answer:
        case "invite_them":
            return go(inviting, s)
        case "other_phone":
            return go(ask_phone, s)
        case "no_invite":
            return go(settled, _calm(s), "unchanged")
        case Wanted(task=task):
            return _do(s, task)


@owner.calls(lambda s: Invite(s.tenant, s.phone, s.role))
def inviting(s: Owner, invited: Invited) -> Step:
    match invited:
        case "sent":
            return go(settled, _calm(s), say("invited", phone=s.phone, days=INVITED_DAYS))
        case "member":
            return go(settled, _calm(s), say("member", phone=s.phone))
        case "full":
            return go(settled, _calm(s), say("full", most=INVITED_MAX, days=INVITED_DAYS))
        case "not_yours":
            return go(settled, _calm(s), "not_yours")


@settled.on("back")
@ask_hours.on("back")
@ask_address.on("back")
@ask_greeting.on("back")
@ask_role.on("back")
def to_the_list(s: Owner) -> Step:
    return go(home, _calm(s))


@read.failed
def not_read(s: Owner, _failed: Failed) -> Step:
    return go(settled, _calm(s), "down")


@write.failed
@inviting.failed
def unsure(s: Owner, _failed: Failed) -> Step:
    return go(settled, _calm(s), "unsure")
