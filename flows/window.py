"""The service window: what may be said to a person now, and in which form.

WhatsApp lets a business write freely for 24 hours after the person's last message; later only approved templates
reach them. Decided when a message is about to leave, not when it was thought of. Source: Cloud API, "Send messages",
customer service windows; "Pricing", free entry points.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from flows.dialog.events import HeardKind

SERVICE_MS: Final = 24 * 3600 * 1000
"""From the person's last message on, by Meta's timestamp of it."""

ENTRY_POINT_MS: Final = 72 * 3600 * 1000
"""From our first answer to somebody who came through an ad, given within 24 hours: templates are free too."""

MARGIN_MS: Final = 3 * 60 * 1000
"""We stop this much early: Meta's clock and ours differ, and a message may still wait for its turn at a limit.
Two to five minutes are advised by those who were refused at the edge (error 131047); three is our choice."""

UNTIL_THEY_WRITE: Final = 2**53
"""A moment that never comes, for what ends when the person writes."""

OPENING: Final[frozenset[HeardKind]] = frozenset(
    (
        "text",
        "tap",
        "row",
        "media",
        "place",
        "contacts",
        "form",
        "order",
        "welcome",
        "code",
        "unsupported",
    )
)
"""What opens the window. Whether a reaction, an edit or a revoke does is not documented, and system notices are not the
person's: the stricter reading costs a template, the other one a refusal (error 131047)."""

Category = Literal["utility", "marketing", "authentication"]


@dataclass(frozen=True, slots=True)
class Window:
    """What opens the way to one person on one channel. Times are ms since the epoch; 0 = never."""

    last_in: int = 0
    """When the person last wrote or called, by the message's own timestamp."""
    free_until: int = 0
    """End of the free entry point. It makes templates free of charge; it opens nothing."""


@dataclass(frozen=True, slots=True)
class Rescue:
    """The template that can stand in for a free-form message, as far as it is known."""

    name: str
    category: Category = "utility"
    approved: bool = True
    """Whether Meta lets it go out now: approved, not paused, not disabled."""
    reopens: bool = False
    """It does not carry the message: it asks the person to tap, and the message waits for that."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the person and the firm allow."""

    answers: bool = True
    """Whether it answers something the person asked; opting out does not silence answers."""
    opted_out: bool = False
    opted_in: bool = False
    """Whether the person allowed notices on the firm's own initiative: Meta asks for it before each such template."""
    marketing: bool = False
    """Whether the person consented to offers from this firm."""
    offers_from: int = 0
    """Meta takes no offer to this person before (ms since the epoch): errors 131049 and 130472."""
    unreachable_until: int = 0
    """Meta could not deliver (131026): nothing is tried on the firm's own initiative before (ms since the epoch)."""


class Reason(Enum):
    """Why nothing may be said."""

    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    NO_OFFERS_NOW = "no_offers_now"
    UNREACHABLE = "unreachable"
    TEMPLATE_UNUSABLE = "template_unusable"
    BUDGET_SPENT = "budget_spent"


@dataclass(frozen=True, slots=True)
class Send:
    """Say it as it is."""


@dataclass(frozen=True, slots=True)
class SendTemplate:
    """Say the template in its place."""

    name: str


@dataclass(frozen=True, slots=True)
class Park:
    """Keep it until the person writes; `knock` is the template to send meanwhile, once."""

    knock: str | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    reason: Reason


Decision = Send | SendTemplate | Park | Refuse


def open_until(window: Window) -> int:
    """The moment (ms since the epoch) from which free-form messages are no longer sent; 0 if it never opened.

    The free entry point does not prolong it: after 24 hours only templates arrive, free ones.
    """
    return window.last_in + SERVICE_MS - MARGIN_MS if window.last_in else 0


def heard_at(at: int, received_ms: int) -> int:
    """When the person wrote (seconds since the epoch): by Meta's timestamp, but not after we took it.

    A clock of Meta's that is ahead of ours would keep the window open too long, an absurd one for ever.
    """
    return min(at, received_ms // 1000) if received_ms else at


def may_knock(now: int, *, knocked: int, every_ms: int) -> bool:
    """Whether the person may be asked again to tap, so that what waits can be said; 0 = never by `every_ms`."""
    return every_ms > 0 and (not knocked or now >= knocked + every_ms)


def free_until(*, first_answer: int, came_at: int) -> int:
    """End of the free entry point of a person who came through an ad at `came_at`; 0 if we answered too late."""
    return first_answer + ENTRY_POINT_MS if first_answer - came_at < SERVICE_MS else 0


def is_free(window: Window, now: int) -> bool:
    """Whether a message sent at `now` costs nothing because of a free entry point."""
    return now < window.free_until - MARGIN_MS


def decide(
    window: Window, now: int, *, rescue: Rescue | None = None, terms: Terms | None = None
) -> Decision:
    """What to do with a free-form message at `now` (ms since the epoch).

    `rescue` is the template that the message names for a closed window; without one, or with one that Meta does not
    let out, it waits for the person. A message on our own initiative needs more than a window: the person's leave.
    """
    terms = terms or Terms()
    if not terms.answers and terms.opted_out:
        return Refuse(Reason.OPTED_OUT)
    if now < open_until(window):
        return Send()
    if rescue is None:
        return Park()
    refusal = refuse_template(rescue, now, window=window, terms=terms)
    if refusal is not None:
        # What answers a request is worth keeping until the person writes again.
        return Park() if terms.answers else refusal
    return Park(knock=rescue.name) if rescue.reopens else SendTemplate(rescue.name)


def refuse_template(template: Rescue, now: int, *, window: Window, terms: Terms) -> Refuse | None:
    """Why a template may not go out to this person at `now`, window or not; None if it may.

    Codes that the person asked for pass an opt-out, nothing else on our initiative does.
    """
    if template.category != "authentication":
        if terms.opted_out:
            return Refuse(Reason.OPTED_OUT)
        if not terms.answers and terms.unreachable_until > now:
            return Refuse(Reason.UNREACHABLE)
        if template.category == "marketing":
            if not terms.marketing:
                return Refuse(Reason.NO_CONSENT)
            if terms.offers_from > now:
                return Refuse(Reason.NO_OFFERS_NOW)
        elif not terms.answers and not terms.opted_in:
            return Refuse(Reason.NO_CONSENT)
    if not template.approved:
        return Refuse(Reason.TEMPLATE_UNUSABLE)
    return None
