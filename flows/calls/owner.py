"""What a firm's people change by chat, on the platform's own number."""

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from flows.calls.signup import Role
from flows.dialog.calls import Call
from flows.values.ids import TenantId

INVITED_DAYS: Final = 7
"""So long an invitation waits."""
INVITED_MAX: Final = 20
"""So many of one firm may wait at once."""


@dataclass(frozen=True)
class Told:
    """What a firm tells its customers today."""

    settings: dict[str, str] = field(default_factory=dict)
    """By key (`flows.customer.shop.SETTINGS`); a key that is missing is not set."""


@dataclass(frozen=True)
class ReadFirm(Call["Told | None"]):
    """The settings of a firm of whoever writes. None: it is not theirs to change."""

    topic: ClassVar[str] = "owner"

    tenant: TenantId


@dataclass(frozen=True)
class ChangeFirm(Call[bool]):
    """Set one of them; an empty value unsets it. False: it is not theirs to change, or the value does not fit."""

    topic: ClassVar[str] = "owner"
    writes: ClassVar[bool] = True

    tenant: TenantId
    key: str
    value: str


Invited = Literal[
    "sent",
    "member",  # they belong already
    "full",  # too many wait for an answer
    "not_yours",  # whoever asks may not invite
]


@dataclass(frozen=True)
class Invite(Call[Invited]):
    """Invite a colleague: they are written to, and come in with a tap of their own."""

    topic: ClassVar[str] = "owner"
    writes: ClassVar[bool] = True
    wants_tap: ClassVar[bool] = True

    tenant: TenantId
    phone: str
    """Digits, with the country's code."""
    role: Role


@dataclass(frozen=True)
class Invitation:
    """Waits for whoever writes."""

    id: str
    firm: str
    """Its name."""
    role: Role


@dataclass(frozen=True)
class Invitations:
    """What was found."""

    waiting: tuple[Invitation, ...] = ()
    """Oldest first."""
    phone_needed: bool = False
    """Whoever writes goes by a username, and invitations are for phones."""


@dataclass(frozen=True)
class FindInvitations(Call[Invitations]):
    """Those that wait for the phone that writes."""

    topic: ClassVar[str] = "owner"

    phone: str = ""
    """Digits of their own one, as they shared it with WhatsApp's button; of no use if they write from a phone."""


@dataclass(frozen=True)
class AnswerInvitation(Call[bool]):
    """Take it, or not. False: it is over, or not for whoever asks."""

    topic: ClassVar[str] = "owner"
    writes: ClassVar[bool] = True
    wants_tap: ClassVar[bool] = True

    id: str
    accept: bool
    phone: str = ""
    """As in `FindInvitations`."""
