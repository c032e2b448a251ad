"""What lies in the lanes `care/<account or number>`: news of accounts and numbers, and chores about them.

The last part of the lane's name is Meta's id of a WABA, a portfolio or a number, or the id of a firm.
"""

from msgspec import Raw, Struct

from flows.values.ids import ChannelId, TenantId


class Change(Struct, frozen=True, omit_defaults=True, tag="change"):
    """A webhook field other than `messages`, as Meta posted it. Nothing is assumed of its value."""

    account: str
    """`entry[].id`: a WABA, now and then a portfolio."""
    field: str
    """Meta's name of the field; `other` if it was no plain word."""
    value: Raw
    """JSON."""
    at: int = 0
    """`entry[].time`, seconds since the epoch; 0 when Meta did not say."""


class Trouble(Struct, frozen=True, omit_defaults=True, tag="trouble"):
    """Meta refused what we sent for a reason that somebody has to mend."""

    channel: ChannelId
    fault: str
    """Name of the fault, of `handlers/whatsapp/faults.py`."""
    at: int
    """ms since the epoch."""
    code: int = 0
    """Meta's."""


class Recovered(Struct, frozen=True, tag="recovered"):
    """Meta took a message on a channel that was thought unable to send."""

    channel: ChannelId
    at: int
    """ms since the epoch."""


class Examine(Struct, frozen=True, tag="examine", omit_defaults=True):
    """Ask Meta how a channel stands, and for the templates of its WABA."""

    channel: ChannelId
    at: int
    """When it was wanted, ms since the epoch: who was examined since needs no second time."""
    round: bool = False
    """It is the channel's turn; nothing has happened just now that Meta's own answer may not know yet."""


class Alert(Struct, frozen=True, tag="alert"):
    """Somebody has to look at something; see `handlers.ports.Alerts`."""

    tenant: TenantId
    channel: ChannelId | None
    kind: str
    about: str
    at: int
    """ms since the epoch."""


CareItem = Change | Trouble | Recovered | Examine | Alert
