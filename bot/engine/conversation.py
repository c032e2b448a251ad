"""A conversation at rest: what its lane keeps between turns."""

from typing import Final

from msgspec import Struct, field
from msgspec.json import Decoder, Encoder

from flows.dialog.content import Content
from flows.dialog.events import Heard
from flows.dialog.session import Session
from flows.values.ids import ChannelId, ContactId, TenantId
from flows.window import Terms, Window
from handlers.events import Sender

BULK_REMEMBERED: Final = 30  # times of campaigns' messages; a cap counts no further
PAIR_EVERY_MS: Final = 6_000  # Cloud API: one message to the same person each 6 s …
PAIR_BURST: Final = 45  # … with bursts of up to 45 borrowed from the future (error 131056)
PAIR_AHEAD_MS: Final = 2 * PAIR_EVERY_MS * PAIR_BURST  # no row of messages to one person is longer


class Parked(Struct, frozen=True, omit_defaults=True):
    """A free-form message that found the window closed and waits for the person to write."""

    ref: str
    content: Content
    expires: int
    """ms since the epoch."""
    answers: bool = True
    """As `handlers.actions.Say.answers`."""


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
    """When the person last wrote, seconds since the epoch by Meta's timestamp."""
    # what the turns made of it
    session: Session = field(name="f", default_factory=Session)
    turn: int = field(name="n", default=0)
    pair_ms: int = field(name="r", default=0)
    """When the pair limit will have forgotten all that was sent (ms since the epoch)."""
    stopped: bool = field(name="x", default=False)
    """The person wants nothing that they did not ask for."""
    agreed: bool = field(name="a", default=False)
    """The person allowed notices on the firm's own initiative."""
    marketing: bool = field(name="m", default=False)
    offers_from: int = field(name="o", default=0)
    """Meta takes no offer to this person before (ms since the epoch)."""
    unreachable_until: int = field(name="u", default=0)
    """Meta could not deliver: nothing on the firm's own initiative before (ms since the epoch)."""
    # the window
    shut: bool = field(name="w", default=False)
    """Meta says that it is closed (131047), whatever `last_in` lets us believe; until the person writes again."""
    came_at: int = field(name="e", default=0)
    """They came through an advertisement and have not been answered yet: when, ms since the epoch."""
    free_until: int = field(name="z", default=0)
    """End of the free entry point, ms since the epoch."""
    knocked: int = field(name="q", default=0)
    """When they were last asked to tap so that what waits can be said, ms since the epoch."""
    declined: bool = field(name="d", default=False)
    """The person said no to offers: nobody else can say yes for them."""
    parked: tuple[Parked, ...] = field(name="k", default=())
    bulk: tuple[int, ...] = field(name="b", default=())
    """When the latest messages of campaigns were decided, seconds since the epoch."""
    # what happened to the person
    preferred: int = field(name="mp", default=0)
    """When they last said in WhatsApp's settings whether they want offers, seconds since the epoch."""
    early: tuple[Early, ...] = field(name="ec", default=())
    proofs_from: int = field(name="pf", default=0)
    """What they proved before this moment about who they are is void (seconds since the epoch)."""
    left: bool = field(name="l", default=False)
    """The addresses are theirs no more: whoever writes here is somebody else, and nothing is said to them."""
    into: ContactId = field(name="i", default=ContactId(""))
    """The contact that they proved to be: all that comes here goes on to that conversation."""
    settle_ms: int = field(name="st", default=0)
    """When their phone shall lead there at once, if nothing comes here any more (ms since the epoch)."""

    @property
    def window(self) -> Window:
        """What opens the way to the person, as far as we and Meta know."""
        return Window(last_in=0 if self.shut else self.last_in * 1000, free_until=self.free_until)

    def terms(self, *, answers: bool) -> Terms:
        """What the person allows; the budget is the firm's affair."""
        return Terms(
            answers=answers,
            opted_out=self.stopped,
            opted_in=self.agreed,
            marketing=self.marketing,
            offers_from=self.offers_from,
            unreachable_until=self.unreachable_until,
        )


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
