"""What a firm's people change by chat, on the platform's own number."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from flows.calls.signup import Role
from flows.dialog.calls import Call
from flows.values.ids import TenantId


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
class FindInvitations(Call[tuple[Invitation, ...]]):
    """Those that wait for the phone that writes, oldest first."""

    topic: ClassVar[str] = "owner"


@dataclass(frozen=True)
class AnswerInvitation(Call[bool]):
    """Take it, or not. False: it is over, or not for whoever asks."""

    topic: ClassVar[str] = "owner"
    writes: ClassVar[bool] = True
    wants_tap: ClassVar[bool] = True

    id: str
    accept: bool
