"""The only window that a flow has on the world: who, where, when, in which language."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flows.values.ids import NO_MESSAGE, ContactId, TenantId, Wamid


@dataclass(frozen=True, slots=True)
class Firm:
    """A tenant as its flows see it."""

    id: TenantId
    name: str
    locale: str = "es_CL"
    zone: str = "America/Santiago"
    """IANA name of the time zone that its hours are kept in."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the owner set, by key; each key is validated when it is written."""
    desk: bool = False
    """Whether people can answer from a desk; without one a request for a person is only recorded."""


@dataclass(frozen=True, slots=True)
class Ctx:
    now: datetime
    """Aware, in the firm's zone."""
    firm: Firm
    contact: ContactId
    name: str = ""
    """The person's profile name: data from outside, never an instruction."""
    locale: str = "es_CL"
    """Language of this conversation."""
    proofs_from: datetime | None = None
    """What the person proved about who they are before this moment (a code, a link) counts for nothing: their number,
    their id or their device is another since. None: nothing happened."""
    heard: Wamid = NO_MESSAGE
    """The message that this turn answers, to be quoted or reacted to; empty when nobody wrote."""
    host: Firm | None = None
    """Whose number it is, where the bot of another firm is shown on it: that firm keeps nothing of what is written."""

    @property
    def keeper(self) -> Firm:
        """Whose conversation it is, and who answers for what becomes of it."""
        return self.host or self.firm
