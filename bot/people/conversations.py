"""Conversations as they were journaled: to be listed and read by the firm's operator."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from bot.people.errors import UnknownError
from bot.people.tenants import list_firms
from bot.store.database import Database
from flows.dialog.content import Content, Template
from flows.dialog.events import Heard
from flows.values.ids import ChannelId, ContactId, ConversationId, FileId, TenantId
from handlers.whatsapp.faults import fault_of

STATUSES: Final = ("", "sent", "delivered", "read", "played", "failed")
"""By `messages.status`."""

MESSAGES_MAX: Final = 5_000

# What somebody of the firm wrote by hand was heard, too, though it went out.
_decode: Final = msgspec.json.Decoder[Heard | Content](Heard | Content).decode
_decode_template: Final = msgspec.json.Decoder(Template).decode


class Summary(Struct, frozen=True):
    """A conversation in a list."""

    id: ConversationId
    tenant: TenantId
    channel: ChannelId
    contact: ContactId
    state: str
    turn: int
    changed_at: datetime


class KeptFile(Struct, frozen=True):
    """The file that came with a message. Its name may tell of a person, and is not needed to find it."""

    id: FileId
    mime: str
    size: int


class Message(Struct, frozen=True):
    """One message, heard or said."""

    turn: int
    at: datetime
    content: Heard | Content
    direction: Literal["in", "out"]
    status: str = ""
    """How far Meta says it came; empty when it is not known."""
    parked_until: datetime | None = None
    """It waits for the person to write, until then."""
    left_as: Template | None = None
    """The template that went in its place."""
    faults: tuple[str, ...] = ()
    """Why it was refused; of one that was heard, why its file is not kept."""
    file: KeptFile | None = None
    """None also when its time is over."""


class Waiting(Struct, frozen=True):
    """A message that waits for the person to write."""

    conversation: ConversationId
    at: datetime
    """When it was to be said."""
    until: datetime
    """When it is given up."""
    kind: str
    """Of content, e.g. `text`."""


class Turn(Struct, frozen=True):
    """One turn, with what it heard and said in order."""

    turn: int
    at: datetime
    state: str
    messages: tuple[Message, ...]
    handoff: str | None = None
    failed: str = ""
    consents: tuple[tuple[str, bool], ...] = ()
    """(purpose, granted)."""


class Story(Struct, frozen=True):
    """A whole conversation."""

    summary: Summary
    zone: str
    turns: tuple[Turn, ...]


async def list_conversations(database: Database, tenant: TenantId, *, most: int) -> list[Summary]:
    """The conversations of a firm, the latest first."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT * FROM smarterbot.conversations WHERE tenant_id = $1
            ORDER BY changed_at DESC LIMIT $2
            """,
            tenant,
            most,
        )
    return [_summary(row) for row in rows]


async def list_waiting(database: Database, tenant: TenantId, *, most: int) -> list[Waiting]:
    """What waits for a firm's people to write, what is given up first in front."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT conversation_id, at, parked_until, kind FROM smarterbot.messages
            WHERE tenant_id = $1 AND parked_until IS NOT NULL ORDER BY parked_until, ref LIMIT $2
            """,
            tenant,
            most,
        )
    return [
        Waiting(
            conversation=ConversationId(str(row["conversation_id"])),
            at=row["at"],
            until=row["parked_until"],
            kind=row["kind"],
        )
        for row in rows
    ]


async def read_story(
    database: Database, conversation: ConversationId, *, tenant: TenantId | None = None
) -> Story:
    """A conversation from its first turn on, at most its latest `MESSAGES_MAX` messages.

    Args:
        conversation: its id.
        tenant: the firm, if known; otherwise each is asked.

    Raises:
        UnknownError: none of them has it, or not yet: the journal may lag a second behind.
    """
    for firm in await list_firms(database):
        if tenant in (None, firm.id) and (
            story := await _story(database, firm.id, conversation, zone=firm.zone)
        ):
            return story
    raise UnknownError("there is no conversation with this id in the journal")


async def _story(
    database: Database, tenant: TenantId, conversation: ConversationId, *, zone: str
) -> Story | None:
    which = (tenant, UUID(conversation))
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM smarterbot.conversations WHERE tenant_id = $1 AND id = $2", *which
        )
        if row is None:
            return None
        turns = await connection.fetch(
            "SELECT * FROM smarterbot.turns WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY turn",
            *which,
        )
        messages = await connection.fetch(
            """
            SELECT m.*, f.id AS file_id, f.mime, f.size, (
              SELECT array_agg(fault ORDER BY at) FROM smarterbot.refusals r
              WHERE r.tenant_id = m.tenant_id AND r.ref = m.ref
            ) AS faults, (
              SELECT max(code) FROM smarterbot.message_statuses s
              WHERE s.tenant_id = m.tenant_id AND s.wamid = m.wamid AND s.status = 'failed'
            ) AS failed_code
            FROM smarterbot.messages m
            LEFT JOIN smarterbot.media f ON f.tenant_id = m.tenant_id AND f.wamid = m.ref
            WHERE m.tenant_id = $1 AND m.conversation_id = $2
            ORDER BY m.turn DESC, m.direction DESC, m.place DESC LIMIT $3
            """,
            *which,
            MESSAGES_MAX,
        )
        consents = await connection.fetch(
            """
            SELECT turn, purpose, granted FROM smarterbot.consents
            WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY turn, purpose
            """,
            *which,
        )
    told = [_message(message) for message in reversed(messages)]
    first = told[0].turn if told else 0
    return Story(
        summary=_summary(row),
        zone=zone,
        turns=tuple(_turn(turn, told, consents) for turn in turns if turn["turn"] >= first),
    )


def _summary(row: asyncpg.Record) -> Summary:
    return Summary(
        id=ConversationId(str(row["id"])),
        tenant=TenantId(str(row["tenant_id"])),
        channel=ChannelId(str(row["channel_id"])),
        contact=ContactId(str(row["contact_id"])),
        state=row["state"],
        turn=row["turn"],
        changed_at=row["changed_at"],
    )


def _message(row: asyncpg.Record) -> Message:
    undelivered = [fault_of(row["failed_code"]).name] if row["failed_code"] else []
    return Message(
        turn=row["turn"],
        at=row["at"],
        content=_decode(row["content"]),
        direction=row["direction"],
        status=STATUSES[row["status"]],
        parked_until=row["parked_until"],
        left_as=None if row["left_as"] is None else _decode_template(row["left_as"]),
        faults=tuple(dict.fromkeys((*(row["faults"] or ()), *undelivered))),
        file=None
        if row["file_id"] is None
        else KeptFile(FileId(str(row["file_id"])), row["mime"], row["size"]),
    )


def _turn(
    row: asyncpg.Record, messages: Sequence[Message], consents: Sequence[asyncpg.Record]
) -> Turn:
    turn = row["turn"]
    return Turn(
        turn=turn,
        at=row["at"],
        state=row["state"],
        messages=tuple(message for message in messages if message.turn == turn),
        handoff=row["handoff"],
        failed=row["failed"],
        consents=tuple((c["purpose"], c["granted"]) for c in consents if c["turn"] == turn),
    )
