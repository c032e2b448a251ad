"""A conversation at rest: what its lane keeps between turns."""

from typing import Final

from msgspec import Struct, field
from msgspec.json import Decoder, Encoder

from flows.dialog.content import Content
from flows.dialog.events import Heard
from flows.dialog.session import Session
from flows.values.ids import ChannelId, ContactId, TenantId
from handlers.events import Sender

PAIR_EVERY_MS: Final = 6_000  # Cloud API: one message to the same person each 6 s …
PAIR_BURST: Final = 45  # … with bursts of up to 45 borrowed from the future (error 131056)
PAIR_AHEAD_MS: Final = 2 * PAIR_EVERY_MS * PAIR_BURST  # no row of messages to one person is longer


class Parked(Struct, frozen=True):
    """A free-form message that found the window closed and waits for the person to write."""

    ref: str
    content: Content
    expires: int
    """ms since the epoch."""


class Early(Struct, frozen=True):
    """An edit or a revoke that came before the message it is about."""

    heard: Heard
    until: int
    """How long that message is waited for, ms since the epoch."""


class Conversation(Struct, frozen=True, omit_defaults=True):
    """Everything a turn must know. Stored by itself in one hash field, so it stays small."""

    # set once
    tenant: TenantId = field(name="t")
    channel: ChannelId = field(name="c")
    contact: ContactId = field(name="p")
    # what the last message told
    sender: Sender = field(name="s", default_factory=Sender)
    last_in: int = field(name="in", default=0)
    """Meta's timestamp of the person's last message, seconds since the epoch."""
    # what the turns made of it
    session: Session = field(name="f", default_factory=Session)
    turn: int = field(name="n", default=0)
    pair_ms: int = field(name="r", default=0)
    """When the pair limit will have forgotten all that was sent (ms since the epoch)."""
    stopped: bool = field(name="x", default=False)
    """The person wants nothing that they did not ask for."""
    marketing: bool = field(name="m", default=False)
    parked: tuple[Parked, ...] = field(name="k", default=())
    # what happened to the person
    referred: int = field(name="ad", default=0)
    """When they last came through an ad, by Meta's timestamp, seconds since the epoch."""
    preferred: int = field(name="mp", default=0)
    """When they last said in WhatsApp's settings whether they want offers, seconds since the epoch."""
    early: tuple[Early, ...] = field(name="e", default=())
    proofs_from: int = field(name="pf", default=0)
    """What they proved before this moment about who they are is void (seconds since the epoch)."""
    left: bool = field(name="l", default=False)
    """The addresses are theirs no more: whoever writes here is somebody else."""
    into: ContactId = field(name="i", default=ContactId(""))
    """The contact that they proved to be: all that comes here goes on to that conversation."""
    settle_ms: int = field(name="st", default=0)
    """When their phone shall lead there at once, if nothing comes here any more (ms since the epoch)."""


def paced(pair_ms: int, now_ms: int) -> tuple[int, int]:
    """Book one message to the person: (the new `pair_ms`, when it may leave; 0 = now).

    A `pair_ms` further ahead than `PAIR_AHEAD_MS` was noted by a clock that has been set back since: how much of the
    burst is left is not known, so none is, and the message itself may leave.

    The generic cell rate algorithm over Meta's pair limit. All sends to a person come from their
    conversation's turns, so its own state is the shared limiter.
    """
    if pair_ms > now_ms + PAIR_AHEAD_MS:
        pair_ms = now_ms + PAIR_EVERY_MS * (PAIR_BURST - 1)
    after = max(pair_ms, now_ms) + PAIR_EVERY_MS
    earliest = after - PAIR_EVERY_MS * PAIR_BURST
    return after, earliest if earliest > now_ms else 0


encode: Final = Encoder().encode
decode: Final = Decoder(Conversation).decode
