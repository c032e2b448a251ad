"""Signing up: whose a RUT is, the firm that is opened, and who may come in."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from flows.dialog.calls import Call
from flows.values.ids import TenantId, Wamid
from flows.values.rut import Rut

Part = Literal["account", "template", "demo", "number", "chatwoot", "odoo", "n8n"]
"""What a firm needs, in the order in which it is told: its account with its owner and settings, what the marketplace gave
it, a demo conversation, its own WhatsApp number, and the systems that go with it."""

PartState = Literal[
    "done",
    "pending",  # under way, or waiting for the owner
    "failed",
    "not_connected",  # this platform has no such system
]


@dataclass(frozen=True)
class SetUp:
    """How far one part of a firm is."""

    part: Part
    state: PartState
    reason: str = ""
    """Why it is not done, one word of a closed vocabulary: `owner` (it waits for the owner), `down`, `refused` …"""


Role = Literal["owner", "admin", "agent"]


@dataclass(frozen=True)
class OwnFirm:
    """A firm of whoever writes."""

    tenant: TenantId
    name: str
    role: Role
    parts: tuple[SetUp, ...] = ()
    demo_link: str = ""
    """Opens a chat with its bot; empty: there is no number for demos."""
    connect_link: str = ""
    """Page on which its own number is connected; empty: this platform cannot."""


@dataclass(frozen=True)
class JoinRequest:
    """Somebody who wants into a firm that is there already."""

    id: str
    firm: str
    """Its name."""
    phone_end: str
    """The last four digits of theirs; empty: they write under a username."""
    at: datetime


@dataclass(frozen=True)
class Known:
    """What the platform knows of whoever writes."""

    firms: tuple[OwnFirm, ...] = ()
    joins: tuple[JoinRequest, ...] = ()
    """Those that they may decide, oldest first."""


@dataclass(frozen=True)
class FindOwn(Call[Known]):
    """What whoever writes has here."""

    topic: ClassVar[str] = "signup"


Claim = Literal[
    "free",
    "mine",  # whoever asks belongs to the firm
    "taken",
]


@dataclass(frozen=True)
class FindRut(Call[Claim]):
    """Whether a RUT has an account. Whose it is, is nobody's to be told."""

    topic: ClassVar[str] = "signup"

    rut: Rut


Document = Literal["terms", "data_processing"]


@dataclass(frozen=True)
class Agreement:
    """One contract that was accepted."""

    document: Document
    version: str
    proof: Wamid
    """The tap, or the form, that accepted it."""


@dataclass(frozen=True)
class OpenFirm(Call["OwnFirm | None"]):
    """Make the firm: tenant, owner, settings, what its template gives; the rest is under way then. None: its RUT was taken
    meanwhile.

    The same draft makes one firm, however often it is asked.
    """

    topic: ClassVar[str] = "signup"
    writes: ClassVar[bool] = True
    wants_tap: ClassVar[bool] = True

    draft: str
    """Unique in the conversation."""
    rut: Rut
    name: str
    line: str
    """What it lives by, one of `flows.onboarding.signup.Line`."""
    comuna: str
    """Its code (CUT)."""
    template: str
    """Of the marketplace; empty: none."""
    agreements: tuple[Agreement, ...]
    email: str = ""


@dataclass(frozen=True)
class RequestJoin(Call[bool]):
    """Ask the owner of the firm with this RUT to let whoever writes in. False: there is nobody to be asked.

    Asked again while a request waits, it is the same one.
    """

    topic: ClassVar[str] = "signup"
    writes: ClassVar[bool] = True

    rut: Rut


@dataclass(frozen=True)
class DecideJoin(Call[bool]):
    """Let them in, or not; they are told. False: it is decided, or not theirs to decide."""

    topic: ClassVar[str] = "signup"
    writes: ClassVar[bool] = True
    wants_tap: ClassVar[bool] = True

    id: str
    admit: bool
