"""Logging in by chat: a person confirms what a browser began, or asks for a link into their panel.

Run either from a root flow. That a person wrote proves the phone, not that they sit at the browser: so they are told
which browser it is, and nothing but a tap on the latest question lets it in.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

from flows.calls.identity import (
    ApproveLogin,
    AskedLogin,
    CheckLogin,
    EnterPanel,
    Panel,
    RefuseLogin,
)
from flows.dialog.answers import OwnPhone
from flows.dialog.calls import Failed
from flows.dialog.content import Link
from flows.dialog.events import Heard
from flows.dialog.flow import Flow, Step, go, say
from flows.values.login_ref import find_ref

LIFE: Final = timedelta(minutes=5)
"""So long a login waits for its confirmation, and a link into the panel for its use."""


ENTRY: Final = "#entry="
"""What a link into the panel ends with, before its secret: no server on the way is told what stands behind a `#`."""


@dataclass(frozen=True)
class Login:
    ref: str = ""
    """Of the message; forgotten as soon as it is known what it names."""
    asked: AskedLogin | None = None


class Came(StrEnum):
    """What came of it."""

    confirmed = "confirmed"
    refused = "refused"
    over = "over"


login = Flow("login", Login, Came)


def ref_in(heard: Heard) -> str | None:
    """The login that a message wants to go on with; None if it is about something else.

    Empty if it was passed on: whoever wrote it is not who sends it, and it is answered like one that is too late.
    """
    ref = find_ref(heard.text) if heard.kind == "text" else ""
    return ("" if heard.forwarded else ref) if ref else None


@login.calls(lambda s: CheckLogin(s.ref))
def check(s: Login, asked: AskedLogin | None) -> Step:
    if asked is None:
        return login.end(Came.over, "late")
    return go(confirm, replace(s, ref="", asked=asked))


@login.asks(by_tap=True)
def confirm(s: Login, who: Literal["me", "not_me"]) -> Step:
    return go(approve, s) if who == "me" else go(refuse, s)


@confirm.after(LIFE)
def too_late(s: Login) -> Step:
    """The page has said so: here nothing is asked any more, and nothing needs to be said."""
    return login.end(Came.over)


def _id(s: Login) -> str:
    assert s.asked is not None
    return s.asked.id


@login.calls(lambda s: ApproveLogin(_id(s)))
def approve(s: Login, done: bool) -> Step:
    """The page says that they are in: there is nothing to add."""
    return login.end(Came.confirmed) if done else login.end(Came.over, "late")


@login.calls(lambda s: RefuseLogin(_id(s)))
def refuse(s: Login, done: bool) -> Step:
    return login.end(Came.refused)


@check.failed
@approve.failed
@refuse.failed
def failed(s: Login, why: Failed) -> Step:
    return login.end(Came.over, "down")


# ---------------------------------------------------------------- into the panel


@dataclass(frozen=True)
class Entry:
    """The firm and the person are those of the conversation."""

    phone: str = ""
    """Shared by who writes under a username."""


panel = Flow("panel", Entry, bool)


@panel.calls(lambda s: EnterPanel(s.phone))
def enter(s: Entry, found: Panel) -> Step:
    link = found.link
    if found.phone_needed and not s.phone:
        return go(share_phone, s)
    if not link:
        return panel.end(result=False, say="none")
    if not link.startswith("https://"):
        # At a developer's: WhatsApp's button opens nothing else.
        return panel.end(result=True, say=say("plain", link=link), worth=LIFE)
    return panel.end(
        result=True,
        say="ready",
        send=lambda words: Link(words.body, words("open"), link),
        worth=LIFE,
    )


@panel.asks
def share_phone(s: Entry, phone: OwnPhone) -> Step:
    return go(enter, replace(s, phone=str(phone)))


@share_phone.after(LIFE)
def not_shared(s: Entry) -> Step:
    return panel.end(result=False)


@enter.failed
def not_entered(s: Entry, why: Failed) -> Step:
    return panel.end(result=False, say="down")
