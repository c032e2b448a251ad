"""An invitation into a firm's team, taken or declined by whoever was invited: that they write from the phone proves it.

A sub-flow of the platform's. Run it for whoever asks for it (`names_invitation`) with `Invitee(asked=True)`; run for
anybody else it says nothing unless an invitation waits.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from flows.calls.owner import AnswerInvitation, FindInvitations, Invitation, Invitations
from flows.dialog.answers import OwnPhone
from flows.dialog.calls import Failed
from flows.dialog.flow import Flow, Step, go, say


class Answered(StrEnum):
    """What came of it."""

    accepted = "accepted"
    """They belong to a firm now."""
    declined = "declined"
    later = "later"
    none = "none"
    """There was nothing to answer."""


@dataclass(frozen=True)
class Invitee:
    asked: bool = False
    """They asked for it: that there is none is said."""
    phone: str = ""
    """Shared by who writes under a username."""
    waiting: tuple[Invitation, ...] = ()

    @property
    def first(self) -> Invitation:
        return self.waiting[0]


invitation = Flow("invitation", Invitee, Answered)


@invitation.calls(lambda s: FindInvitations(s.phone))
def find(s: Invitee, found: Invitations) -> Step:
    if found.waiting:
        return go(review, replace(s, waiting=found.waiting))
    if found.phone_needed and s.asked and not s.phone:
        return go(share_phone, s)
    return invitation.end(Answered.none, "none" if s.asked else None)


@invitation.asks
def share_phone(s: Invitee, phone: OwnPhone) -> Step:
    return go(find, replace(s, phone=str(phone)))


@invitation.asks(by_tap=True)
def review(s: Invitee, answer: Literal["accept", "decline", "later"]) -> Step:
    match answer:
        case "accept":
            return go(accept, s)
        case "decline":
            return go(decline, s)
        case "later":
            return invitation.end(Answered.later, "whenever")


@invitation.calls(lambda s: AnswerInvitation(s.first.id, True, s.phone))  # noqa: FBT003 - by its field's name
def accept(s: Invitee, done: bool) -> Step:
    """The rest, if there is any, waits for the next time."""
    if not done:
        return invitation.end(Answered.none, "over")
    return invitation.end(Answered.accepted, say("accepted", firm_name=s.first.firm))


@invitation.calls(lambda s: AnswerInvitation(s.first.id, False, s.phone))  # noqa: FBT003
def decline(s: Invitee, done: bool) -> Step:
    if not done:
        return invitation.end(Answered.none, "over")
    return invitation.end(Answered.declined, say("declined", firm_name=s.first.firm))


@find.failed
@accept.failed
@decline.failed
def down(s: Invitee, _failed: Failed) -> Step:
    if not s.asked and not s.waiting:
        return invitation.end(Answered.none)
    return invitation.end(Answered.none, "down")
