"""Identity: who confirms a login that a browser began, and who may enter a panel."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from flows.dialog.calls import Call


@dataclass(frozen=True)
class AskedLogin:
    """A login that a browser began and that waits to be confirmed."""

    id: str
    """Of no use but in the conversation that named it."""
    business: str
    """Where they log in."""
    browser: str
    """Its name, e.g. Chrome; empty if it did not tell."""
    system: str
    """What it runs on, e.g. Windows; empty if it did not tell."""
    place: str
    """A city, as far as the way to us tells; else empty."""
    network: str
    """The first half of the browser's address."""
    at: datetime
    """When it was begun."""


@dataclass(frozen=True)
class CheckLogin(Call["AskedLogin | None"]):
    """Find the login that a message names. None: there is none, or no more, or it is not for this conversation."""

    topic: ClassVar[str] = "login"

    ref: str


@dataclass(frozen=True)
class ApproveLogin(Call[bool]):
    """Let the browser in. False: it is too late."""

    topic: ClassVar[str] = "login"
    writes: ClassVar[bool] = True
    wants_tap: ClassVar[bool] = True

    id: str


@dataclass(frozen=True)
class RefuseLogin(Call[bool]):
    """Let nobody in with it, and have somebody look. False: it was over anyway."""

    topic: ClassVar[str] = "login"
    writes: ClassVar[bool] = True

    id: str


@dataclass(frozen=True)
class Panel:
    """What opens a panel."""

    link: str = ""
    """Empty: the person has none."""
    phone_needed: bool = False
    """Nobody is known by their username, and perhaps by their phone."""


@dataclass(frozen=True)
class EnterPanel(Call[Panel]):
    """A link that opens the panel once, for the person of this conversation."""

    topic: ClassVar[str] = "login"
    writes: ClassVar[bool] = True

    phone: str = ""
    """Digits of their own one, as they shared it with WhatsApp's button; of no use if they write from a phone."""
