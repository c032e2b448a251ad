"""The conversation on the platform's own number: who writes here is somebody with a firm, or soon will be."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from flows.calls.desk import Handoff, OpenHandoff
from flows.calls.signup import DecideJoin, FindOwn, JoinRequest, Known, OwnFirm
from flows.customer.customer import URGENT, Visit, customer
from flows.customer.wish import Topic, Wish
from flows.dialog.calls import Failed
from flows.dialog.commands import read_danger, read_yes_no
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Consented
from flows.dialog.events import Heard
from flows.dialog.flow import Flow, Step, go, hand_off, say, stay
from flows.login import Came as CameIn
from flows.login import Entry, Login, login, panel, ref_in
from flows.onboarding.signup import Outcome, Signup, signup
from flows.owner.invitation import Answered, Invitee, invitation
from flows.owner.owner import Owner, Went, owner
from flows.owner.tasks import Task, names_invitation, task_in

REMEMBERED: Final = timedelta(days=30)

CHAT: Final[frozenset[Topic]] = frozenset(("greeting", "english", "spanish"))
"""Topics that ask for nothing."""


@dataclass(frozen=True)
class Visitor:
    said: str = ""
    """What they came with."""
    topics: tuple[Topic, ...] = ()
    task: Task | None = None
    """What they want to do with their firm."""
    known: Known = Known()  # noqa: RUF009 - frozen
    firm: OwnFirm | None = None
    """The one that was opened just now."""
    admit: bool = False
    ref: str = ""
    """Of a login that a browser began."""

    @property
    def join(self) -> JoinRequest | None:
        """The request that is to be decided first."""
        return self.known.joins[0] if self.known.joins else None


platform = Flow("platform", Visitor, bool, idle=REMEMBERED)


@platform.asks(rests=True)
def lobby(v: Visitor, wish: Literal["register", "human"] | Wish, ctx: Ctx) -> Step:
    """Where every talk begins. What is wanted shows once it is known who writes."""
    match wish:
        case "register":
            return _register(Visitor(), ctx)
        case "human":
            return go(call_person, Visitor())
        case Wish(language=language) as wished:
            english = language == "en" and not ctx.locale.startswith("en")
            return go(arrive, _came(wished), locale="en" if english else "")


def _came(wish: Wish) -> Visitor:
    """With a wish, somebody of whom nothing is known yet."""
    return Visitor(said=wish.text, topics=tuple(sorted(wish.topics)))


@platform.opens
def hello(_v: Visitor) -> Step:
    return go(arrive, Visitor())


@platform.calls(lambda v: FindOwn())
def arrive(v: Visitor, known: Known, ctx: Ctx) -> Step:
    """From here everybody is led to what is theirs."""
    v = replace(v, known=known)
    if "panel" in v.topics:
        return go(entering, v)
    if names_invitation(v.said) or not known.firms:
        return go(invited, v)
    return _on(v, ctx)


@arrive.failed
def not_found(v: Visitor, _failed: Failed) -> Step:
    return go(down, v)


@platform.runs(invitation, lambda v: Invitee(asked=names_invitation(v.said)))
def invited(v: Visitor, answered: Answered, ctx: Ctx) -> Step:
    """A colleague may have been invited, whatever else they came for."""
    if answered is Answered.accepted:
        return go(manage, Visitor())
    if answered is Answered.none and not names_invitation(v.said):
        return _on(v, ctx)
    return platform.end(result=True)


def _on(v: Visitor, ctx: Ctx) -> Step:
    if v.known.joins:
        return go(review, v)
    if v.known.firms:
        return go(manage, v)
    if "person" in v.topics:
        return go(call_person, v)
    if set(v.topics) - CHAT:
        return go(consult, v)
    return _register(v, ctx)


def _register(v: Visitor, ctx: Ctx) -> Step:
    """Nobody can accept what they cannot read."""
    if not ctx.firm.settings.get("legal_url"):
        return go(call_person, v, "not_open")
    return go(register, v)


@platform.asks
def down(v: Visitor, answer: Literal["again", "human"]) -> Step:
    return go(arrive, v) if answer == "again" else go(call_person, v)


# ---------------------------------------------------------------- signing up


@platform.runs(signup, lambda v: Signup())
def register(v: Visitor, outcome: Outcome) -> Step:
    match outcome.came:
        case "opened":
            assert outcome.firm is not None
            done = replace(v, firm=outcome.firm)
            return go(opened, done) if outcome.firm.connect_link else go(offers, done, "ready")
        case "mine":
            return go(arrive, Visitor())
        case "declined" | "joining" | "erased":
            return platform.end(result=True)


@platform.asks(rests=True)
def opened(v: Visitor, answer: Literal["connect", "later"] | Wish) -> Step:
    match answer:
        case "connect":
            return go(offers, v, "connect_here")
        case "later":
            return go(offers, v, "whenever")
        case Wish() as wished:
            return go(arrive, _came(wished))


@platform.asks(by_tap=True)
def offers(_v: Visitor, allowed: bool | Wish) -> Step:
    """News and offers of the platform: asked apart, at the end, and owed to nothing. Only a tap allows them."""
    if isinstance(allowed, Wish):
        if read_yes_no(allowed.text) is not None:
            return stay("by_tap", sorry=False)
        return go(arrive, _came(allowed))
    also = (Consented("marketing", granted=allowed),)
    # A no is respected, and needs no words.
    return platform.end(result=True, say="allowed" if allowed else None, also=also)


# ---------------------------------------------------------------- whoever wants to join


@platform.asks(by_tap=True)
def review(v: Visitor, answer: Literal["admit", "refuse", "later"] | Wish) -> Step:
    match answer:
        case Wish(text=text):
            if read_yes_no(text) is not None:
                return stay("by_tap", sorry=False)
            return go(manage, replace(v, said=text))
        case "admit":
            return go(decide, replace(v, admit=True))
        case "refuse":
            return go(decide, replace(v, admit=False))
        case "later":
            return go(manage, v)


def _decision(v: Visitor) -> DecideJoin:
    assert v.join is not None
    return DecideJoin(v.join.id, v.admit)


@platform.calls(_decision)
def decide(v: Visitor, done: bool) -> Step:
    after = replace(v, known=replace(v.known, joins=v.known.joins[1:]))
    if not done:
        return go(review, after, "too_late") if after.join else go(manage, after, "too_late")
    if not v.admit:
        return go(review, after, "refused") if after.join else go(manage, after, "refused")
    if after.join:
        return go(review, after, say("admitted", join=v.join))
    return go(manage, after, say("admitted", join=v.join))


@decide.failed
def not_decided(v: Visitor, _failed: Failed) -> Step:
    return go(review, v, "not_decided")


# ---------------------------------------------------------------- at home


@platform.runs(owner, lambda v: Owner(firms=v.known.firms, task=v.task or task_in(v.said)))
def manage(v: Visitor, went: Went, ctx: Ctx) -> Step:
    """Their firm, and what they may change of it."""
    match went:
        case Went.left:
            return platform.end(result=True)
        case Went.another:
            return _register(Visitor(), ctx)
        case Went.person:
            return go(call_person, Visitor())


@platform.runs(customer, lambda v: Visit(met=True))
def consult(v: Visitor, _over: bool) -> Step:
    """Questions about the platform itself: it is a firm as any other."""
    return platform.end(result=True)


@platform.runs(panel, lambda v: Entry())
def entering(v: Visitor, _entered: bool) -> Step:
    return platform.end(result=True)


# ---------------------------------------------------------------- in every state


@platform.on("menu")
def menu(_v: Visitor) -> Step:
    return go(arrive, Visitor())


@platform.on("status")
def status(_v: Visitor) -> Step:
    return go(arrive, Visitor(task="status"))


@platform.on("human")
def person(_v: Visitor) -> Step:
    return go(call_person, Visitor())


@platform.on("data")
def data(_v: Visitor) -> Step:
    return go(consult, Visitor())


@platform.calls(lambda v: OpenHandoff(note=v.said, about="platform"))
def call_person(v: Visitor, _opened: Handoff, ctx: Ctx) -> Step:
    return hand_off("bot.human") if ctx.firm.desk else platform.end(result=True, say="bot.recorded")


@call_person.failed
def not_called(v: Visitor, _failed: Failed, ctx: Ctx) -> Step:
    """The request is recorded with the turn, whether the desk answers or not."""
    return hand_off("bot.human") if ctx.firm.desk else platform.end(result=True, say="bot.recorded")


@call_person.on("human")
def being_called(_v: Visitor) -> Step:
    return stay(repeat=False)


@platform.interrupts
def first(v: Visitor, heard: Heard, ctx: Ctx) -> Step | None:
    """Danger before anything else, then a login that waits in a browser."""
    match read_danger(heard.text):
        case "emergency":
            return hand_off("customer.emergency", URGENT)
        case "self_harm":
            return hand_off("customer.self_harm", URGENT)
        case "violence":
            return hand_off("customer.violence", URGENT)
        case None:
            pass
    if heard.kind == "code":
        return stay("customer.code_typed", repeat=False)
    ref = ref_in(heard)
    return None if ref is None else go(signing_in, Visitor(ref=ref))


@platform.runs(login, lambda v: Login(v.ref))
def signing_in(v: Visitor, came: CameIn) -> Step:
    return go(warned, Visitor()) if came is CameIn.refused else platform.end(result=True)


@platform.asks(rests=True)
def warned(_v: Visitor, wish: Literal["human"] | Wish) -> Step:
    """Somebody tried to get in with their help."""
    match wish:
        case "human":
            return go(call_person, Visitor())
        case Wish() as wished:
            return go(arrive, _came(wished))
