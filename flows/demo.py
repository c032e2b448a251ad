"""The demo number: a firm's own bot answers there as its customers will see it, before it has a number of its own.

Whose bot, a code tells. The whole conversation of customers runs inside this one, spoken for that firm; whose
conversation it is, does not change: what is asked of the outside is asked for the number's owner.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from flows.calls.demo import Demo, FindDemo
from flows.calls.desk import Handoff, OpenHandoff
from flows.customer.customer import PRIVACY_TEAM, RIGHTS_DAYS, URGENT, Visit, customer
from flows.customer.wish import topics_in
from flows.dialog.answers import Text
from flows.dialog.calls import Failed
from flows.dialog.commands import Danger, read_command, read_danger
from flows.dialog.ctx import Ctx
from flows.dialog.events import Heard
from flows.dialog.flow import Flow, Step, go, hand_off, say, stay
from flows.login import ref_in
from flows.values.demo_code import find_demo_code
from flows.values.ids import TenantId
from flows.values.words import plain

FORGOTTEN: Final = timedelta(hours=24)
"""After so long a silence the link is needed again."""

NOBODY: Final = TenantId("")

_THE_DEMO: Final = re.compile(r" (?:del? )?(?:la |el |esta |the |this )?demo$")


@dataclass(frozen=True)
class Tour:
    code: str = ""
    """Of the message; forgotten as soon as it is known what it names."""
    firm: TenantId = NOBODY
    """Whose bot is shown."""
    name: str = ""
    home: str = ""
    """As `Demo.home`."""
    gone: bool = False
    """The firm that was shown is not shown any more, and they have not been told."""


demo = Flow("demo", Tour, bool, idle=FORGOTTEN)


@demo.asks
def ask_link(t: Tour, words: Literal["human"] | Text) -> Step:
    """Whatever holds a code has been heard before."""
    if words == "human":
        return hand_off()
    return go(ask_link, Tour(), "gone" if t.gone else None)


@demo.calls(lambda t: FindDemo(t.code))
def find(t: Tour, found: Demo | None) -> Step:
    if found is None:
        return go(ask_link, Tour(), "unknown")
    return go(showing, Tour(firm=found.firm, name=found.name, home=found.home), "shown")


@find.failed
def not_found(t: Tour, why: Failed) -> Step:
    return demo.end(result=False, say="too_many" if why.why == "refused" else "down")


@demo.runs(customer, lambda t: Visit(), firm=lambda t: t.firm)
def showing(t: Tour, done: bool) -> Step:
    return _leave()


@showing.failed
def gone(t: Tour, why: Failed) -> Step:
    """It does not speak any more, since this moment or since they last wrote."""
    return go(ask_link, Tour(gone=True))


def _leave() -> Step:
    return demo.end(result=True, say="left")


# ---------------------------------------------------------------- before the bot that is shown


@demo.interrupts
def outside(t: Tour, heard: Heard, ctx: Ctx) -> Step | None:
    """What this number does whoever speaks: another demo, the way out, and what is never done in one."""
    if (danger := read_danger(heard.text)) is not None:
        # The bot that is shown hears it next, and says the same.
        return None if t.firm else _danger(danger)
    if heard.kind == "code":
        return stay("customer.code_typed", repeat=False)
    if heard.kind != "text":
        return None
    if code := find_demo_code(heard.text):
        return go(find, Tour(code=code))
    if t.firm and _wants_out(heard.text):
        return _leave()
    if ref_in(heard) is not None or "panel" in topics_in(heard.text):
        return stay("elsewhere", repeat=False)
    return None


def _wants_out(text: str) -> bool:
    """*salir de la demo*, *cancelar demo*, *exit the demo*."""
    heard = plain(text)
    command = _THE_DEMO.sub("", heard)
    return command != heard and read_command(command) == "cancel"


def _danger(danger: Danger) -> Step:
    match danger:
        case "emergency":
            return hand_off("customer.emergency", URGENT)
        case "self_harm":
            return hand_off("customer.self_harm", URGENT)
        case "violence":
            return hand_off("customer.violence", URGENT)


# ---------------------------------------------------------------- one's own data


@demo.on("data")
def data(t: Tour) -> Step:
    """In a demo the bot that is shown answers, for the number's owner; here people do."""
    return go(note_right, Tour())


@demo.calls(lambda t: OpenHandoff(team=PRIVACY_TEAM, about="data"))
def note_right(t: Tour, opened: Handoff, ctx: Ctx) -> Step:
    due = ctx.now.date() + timedelta(days=RIGHTS_DAYS)
    return demo.end(result=True, say=say("customer.right", id=opened.id, due=due))


@note_right.failed
def not_noted(t: Tour, why: Failed) -> Step:
    """The request is recorded with the turn, whether the desk answers or not."""
    return hand_off("bot.recorded", PRIVACY_TEAM)
