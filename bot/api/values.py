"""What the API is asked and what it answers: the types that validate are the types that are documented."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from flows.intents import LINE, FirmIntent
from handlers.journal import CampaignStatus

RECIPIENTS_MAX: Final = 5_000
PER_MINUTE: Final = 60
PER_MINUTE_MAX: Final = 6_000
TTL_S: Final = 24 * 3600
TTL_S_MIN: Final = 60
TTL_S_MAX: Final = 7 * 24 * 3600
TITLE_MAX: Final = 60
CAP_MESSAGES_MAX: Final = 30
CAP_DAYS_MAX: Final = 90
EVIDENCE_MAX: Final = 120
SPEND_MAX: Final = 1_000_000_000

PHONE: Final = r"^\+[1-9][0-9]{6,14}(?!\n)$"
BSUID: Final = r"^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}(?!\n)$"

Phone = Annotated[
    str,
    Meta(
        pattern=PHONE,
        description="With its country, as E.164.",
        examples=["+56961234567"],
    ),
]
Bsuid = Annotated[
    str,
    Meta(
        pattern=BSUID,
        description="WhatsApp's business-scoped user id, of the channel's portfolio.",
        examples=["CL.13491208655302741918"],
    ),
]


class To(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A person, named in one of three ways."""

    phone: Phone | UnsetType = UNSET
    bsuid: Bsuid | UnsetType = UNSET
    contact: Annotated[UUID, Meta(description="Id of a contact.")] | UnsetType = UNSET


OnePerson = Annotated[To, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})]
Channel = Annotated[
    UUID,
    Meta(description="Id of the WhatsApp number to send from; needed if there are several."),
]
Ttl = Annotated[
    int,
    Meta(
        ge=TTL_S_MIN,
        le=TTL_S_MAX,
        description="Seconds after which the message is of no use: it expires unsent.",
    ),
]


class PermissionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the person allowed you elsewhere, e.g. at the till. It is written into the ledger: you must be able to prove it.

    What they say in WhatsApp themselves stands above it.
    """

    purpose: Annotated[
        Literal["notices", "marketing"], Meta(description="`marketing` allows offers.")
    ]
    evidence: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=EVIDENCE_MAX,
            pattern=LINE,
            description="Where and how they did.",
            examples=["web form, 2026-11-02, consent 8812"],
        ),
    ]


class SendRequest(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One message to one person."""

    to: OnePerson
    message: FirmIntent
    channel: Channel | UnsetType = UNSET
    locale: (
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z]{2}(_[A-Z]{2})?(?!\n)$",
                description="Language, unless the person chose one. The firm's if left out.",
                examples=["es_CL"],
            ),
        ]
        | UnsetType
    ) = UNSET
    when_closed: Annotated[
        Literal["template", "wait"],
        Meta(
            description="While the person's 24-hour window is closed: send the template, or wait until they write."
        ),
    ] = "template"
    permission: PermissionRequest | UnsetType = UNSET
    ttl: Ttl = TTL_S


class Accepted(Struct, frozen=True):
    """It is durable, and will be decided in its turn."""

    id: UUID
    status: Literal["accepted"] = "accepted"


Status = Literal[
    "accepted", "waiting", "parked", "sent", "delivered", "read", "failed", "refused", "expired"
]


class MessageFate(Struct, frozen=True, omit_defaults=True):
    """What became of a message.

    `accepted`: its turn has not come. `waiting`: decided, on its way to Meta. `parked`: waits for the person to write.
    `sent`: Meta has it. `refused`: our rules, see `reason`. `failed`: Meta or the network, see `reason`.
    """

    id: UUID
    status: Status
    reason: Annotated[str, Meta(description="Of failed and refused.", examples=["opted_out"])] = ""
    form: Annotated[str, Meta(description="As what it was said: text, document or template.")] = ""
    campaign: UUID | UnsetType = UNSET
    contact: UUID | UnsetType = UNSET
    channel: UUID | UnsetType = UNSET
    decided_at: datetime | UnsetType = UNSET
    sent_at: datetime | UnsetType = UNSET
    delivered_at: datetime | UnsetType = UNSET
    read_at: datetime | UnsetType = UNSET
    failed_at: datetime | UnsetType = UNSET


class CapRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How many messages of campaigns one person gets at most."""

    messages: Annotated[int, Meta(ge=1, le=CAP_MESSAGES_MAX)] = 1
    days: Annotated[int, Meta(ge=1, le=CAP_DAYS_MAX)] = 1


class Recipient(Struct, frozen=True, forbid_unknown_fields=True):
    """One person of a campaign, and what they are told."""

    to: OnePerson
    message: FirmIntent
    permission: PermissionRequest | UnsetType = UNSET


class CampaignRequest(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Messages to many people, sent slowly. Each person once; all of it is accepted, or nothing."""

    title: Annotated[
        str,
        Meta(min_length=1, max_length=TITLE_MAX, pattern=LINE, examples=["Precios de diciembre"]),
    ]
    recipients: Annotated[tuple[Recipient, ...], Meta(min_length=1, max_length=RECIPIENTS_MAX)]
    channel: Channel | UnsetType = UNSET
    per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=PER_MINUTE_MAX,
            description="Pace. Replies to people come first, so it may be slower.",
        ),
    ] = PER_MINUTE
    cap: CapRequest = CapRequest()
    spend_max: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=SPEND_MAX,
                description="Pesos, by the prices of the day. Nothing is released that would cost more.",
            ),
        ]
        | UnsetType
    ) = UNSET
    ttl: Ttl = TTL_S


class CampaignProgress(Struct, frozen=True, omit_defaults=True):
    """How far a campaign has come."""

    id: UUID
    title: str
    channel: UUID
    status: CampaignStatus
    size: int
    released: Annotated[int, Meta(description="Messages that were put into their conversations.")]
    per_minute: int
    accepted_at: datetime
    changed_at: datetime
    fates: Annotated[
        dict[Status, int], Meta(description="How many messages are where; their sum is `size`.")
    ]
    waits_for: Annotated[
        str,
        Meta(
            description="Why nothing is released just now: quiet_hours, replies, budget, spend_max, channel or database."
        ),
    ] = ""


class Fates(Struct, frozen=True, omit_defaults=True):
    """Some of a campaign's messages, in the order of its recipients."""

    messages: tuple[MessageFate, ...]
    next: Annotated[int, Meta(description="`start` of the next page.")] | UnsetType = UNSET


class Ordered(Struct, frozen=True):
    """The campaign will follow; nothing is released after it has."""

    id: UUID
    order: Literal["pause", "resume", "cancel"]
