"""The journal's writer: from the lanes into PostgreSQL, in batches, as often as it takes.

Every record names what makes it unique, and writing it again changes nothing. So a crash between writing and
trimming, and several writers at once, are harmless. While PostgreSQL is down the lines wait in the store and
conversations go on; a line that PostgreSQL will never take is put aside, and the rest goes on.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final, NoReturn

import asyncpg
import msgspec
import structlog

from bot.lanes import LaneError, Lanes, StoreLostError
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.dialog.content import Content
from flows.values.ids import ChannelId, TenantId
from handlers.journal import (
    HandoffRecord,
    Record,
    RefusedRecord,
    SentRecord,
    StatusRecord,
    StatusSeen,
    TurnRecord,
)

LINES_MAX: Final = 100
"""Lines of one shard that are read at once."""
PAUSE_S: Final = 1.0
BACKOFF_MAX_S: Final = 30.0
DIGEST_BYTES: Final = 32

log = structlog.get_logger()

Entry = TurnRecord | SentRecord | RefusedRecord | StatusSeen | HandoffRecord
"""A record of one tenant: a webhook's statuses may belong to several."""

_decode: Final = msgspec.json.Decoder(Record).decode
_encode: Final = msgspec.json.Encoder().encode
# JSON may hold U+0000 and PostgreSQL's text may not. An odd number of backslashes makes it one.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a shard's journal, and what it holds for one tenant."""

    shard: int
    raw: bytes
    entry: Entry


class Journal:
    """Drains the journal of every shard."""

    def __init__(
        self,
        lanes: Lanes,
        database: Database,
        *,
        lines_max: int = LINES_MAX,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lanes = lanes
        self._database = database
        self._lines_max = lines_max
        self._sleep = sleep

    async def run(self) -> NoReturn:
        """Write what is there, again and again. An outage of either side is waited for."""
        wait_s = PAUSE_S
        while True:
            try:
                _, more = await self._drain()
            except (*UNAVAILABLE, StoreLostError) as error:
                wait_s = min(wait_s * 2, BACKOFF_MAX_S)
                log.warning("journal.waits", error=type(error).__name__, wait_s=wait_s)
            except (LaneError, StoreError, asyncpg.PostgresError) as error:
                # The schema or the role is not what it should be. No line is at fault, so none is put aside.
                wait_s = BACKOFF_MAX_S
                log.error("journal.stuck", error=type(error).__name__, wait_s=wait_s)
            else:
                wait_s = PAUSE_S
                if more:
                    continue
            await self._sleep(wait_s)

    async def flush(self, wait_s: float) -> bool:
        """Write until nothing is left, for a graceful stop. False: it took too long, or one side is down."""
        try:
            async with asyncio.timeout(wait_s):
                while await self.drain_once():
                    pass
        except (
            *UNAVAILABLE,
            StoreLostError,
            LaneError,
            StoreError,
            asyncpg.PostgresError,
        ) as error:
            log.warning("journal.not_flushed", error=type(error).__name__)
            return False
        return True

    async def drain_once(self) -> int:
        """Write the oldest lines of every shard, then drop them there; answers how many there were.

        A pass asks every shard, whatever it holds, so passes are paced rather than chained: batches grow with the load.

        Raises:
            StoreLostError: of `bot.lanes`.
            bot.store.errors.UNAVAILABLE: PostgreSQL is down; nothing was dropped.
            RoleError, asyncpg.PostgresError: it refuses us, not the lines; nothing was dropped.
        """
        lines, _ = await self._drain()
        return lines

    async def _drain(self) -> tuple[int, bool]:
        """As `drain_once`; also whether a shard held more than was read of it."""
        shards = range(self._lanes.shards)
        read = await asyncio.gather(
            *(self._lanes.read_journal(shard, self._lines_max) for shard in shards)
        )
        by_tenant: dict[TenantId, list[Line]] = {}
        for shard, (_, raws) in zip(shards, read, strict=True):
            for raw in raws:
                try:
                    record = _decode(raw)
                except msgspec.MsgspecError as error:
                    await self._put_aside(shard, raw, type(error).__name__)
                    continue
                for entry in _entries(record):
                    by_tenant.setdefault(entry.tenant, []).append(Line(shard, raw, entry))
        for tenant, lines in by_tenant.items():
            await self._write(tenant, lines)
        await asyncio.gather(
            *(
                self._lanes.trim_journal(shard, position, len(raws))
                for shard, (position, raws) in zip(shards, read, strict=True)
                if raws
            )
        )
        counts = [len(raws) for _, raws in read]
        return sum(counts), max(counts) >= self._lines_max

    async def _write(self, tenant: TenantId, lines: Sequence[Line]) -> None:
        """Write them in one transaction; find the ones that cannot be written by halving."""
        try:
            async with self._database.tenant(tenant) as connection:
                await write_entries(connection, tenant, [line.entry for line in lines])
        except (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            OverflowError,
            ValueError,
        ) as error:
            if len(lines) == 1:
                await self._put_aside(lines[0].shard, lines[0].raw, _reason(error))
            else:
                middle = len(lines) // 2
                await self._write(tenant, lines[:middle])
                await self._write(tenant, lines[middle:])

    async def _put_aside(self, shard: int, raw: bytes, reason: str) -> None:
        digest = hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest()
        async with self._database.system() as connection:
            # No conflict target: naming one would ask for the right to read what lies there.
            await connection.execute(
                """
                INSERT INTO smarterbot.journal_rejects (digest, shard, reason, line) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING
                """,
                digest,
                shard,
                reason,
                raw,
            )
        log.error("journal.rejected", shard=shard, reason=reason, digest=digest.hex())


async def write_entries(connection: Connection, tenant: TenantId, entries: Sequence[Entry]) -> None:
    """Write the entries of one tenant, in the transaction that `connection` is in.

    Raises:
        ValueError, OverflowError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError: an entry is bad.
    """
    turns = [entry for entry in entries if isinstance(entry, TurnRecord)]
    sent = [entry for entry in entries if isinstance(entry, SentRecord)]
    refused = [entry for entry in entries if isinstance(entry, RefusedRecord)]
    statuses = [entry for entry in entries if isinstance(entry, StatusSeen)]
    handoffs = [entry for entry in entries if isinstance(entry, HandoffRecord)]

    if turns:
        await _write_people(connection, tenant, turns)
        await _write_turns(connection, tenant, turns)
    await connection.executemany(
        "UPDATE smarterbot.messages SET wamid = $3 WHERE tenant_id = $1 AND ref = $2",
        [(tenant, entry.ref, entry.wamid) for entry in sent],
    )
    await connection.executemany(
        """
        INSERT INTO smarterbot.message_statuses (tenant_id, wamid, status, at, category, price_type, code)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
        """,
        [
            (tenant, s.wamid, s.status, _moment(s.at * 1000), s.category, s.price_type, s.code)
            for s in statuses
        ],
    )
    # A status may come before the answer that tells the wamid, so both sides look for the other.
    await connection.execute(
        """
        UPDATE smarterbot.messages AS message SET status = seen.rank
        FROM (
          SELECT wamid, max(rank) AS rank FROM smarterbot.message_statuses
          WHERE tenant_id = $1 AND wamid = ANY($2::text[]) GROUP BY wamid
        ) AS seen
        WHERE message.tenant_id = $1 AND message.wamid = seen.wamid AND message.status < seen.rank
        """,
        tenant,
        sorted({entry.wamid for entry in sent} | {entry.wamid for entry in statuses}),
    )
    await connection.executemany(
        """
        INSERT INTO smarterbot.refusals (tenant_id, ref, fault, code, at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
        """,
        [(tenant, r.ref, r.fault, r.code, _moment(r.at)) for r in refused],
    )
    await connection.executemany(
        """
        INSERT INTO smarterbot.handoffs (tenant_id, conversation_id, seq, contact_id, at, note, team, about)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        [
            (
                *(tenant, h.conversation, h.seq, h.contact, _moment(h.at)),
                *(_text(h.note), h.team, h.about),
            )
            for h in handoffs
        ],
    )


async def _write_people(
    connection: Connection, tenant: TenantId, turns: Sequence[TurnRecord]
) -> None:
    # In one order everywhere: two writers that lock rows in different orders would wait for each other.
    latest = {turn.contact: turn for turn in turns}
    await connection.executemany(
        """
        INSERT INTO smarterbot.contacts AS contact (tenant_id, id, name, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name
        WHERE excluded.name NOT IN ('', contact.name)
        """,
        [
            (tenant, contact, _text(turn.sender.name if turn.sender else ""), _moment(turn.at))
            for contact, turn in sorted(latest.items())
        ],
    )
    rows = await connection.fetch(
        """
        SELECT id, coalesce(nullif(portfolio_id, ''), waba_id) AS scope FROM smarterbot.channels
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tenant,
        sorted({turn.channel for turn in turns}),
    )
    scopes = {ChannelId(str(row["id"])): row["scope"] for row in rows}
    owners = {
        address: (turn.contact, _moment(turn.at))
        for turn in turns
        for address in _addresses(turn, scopes.get(turn.channel, ""))
    }
    held = [(tenant, *address, *owner) for address, owner in sorted(owners.items())]
    await connection.executemany(
        """
        UPDATE smarterbot.contact_addresses SET valid_to = $6
        WHERE tenant_id = $1 AND kind = $2 AND scope = $3 AND value = $4 AND valid_to IS NULL
          AND contact_id <> $5 AND valid_from <= $6
        """,
        held,
    )
    await connection.executemany(
        """
        INSERT INTO smarterbot.contact_addresses (tenant_id, kind, scope, value, contact_id, valid_from)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
        """,
        held,
    )


async def _write_turns(
    connection: Connection, tenant: TenantId, turns: Sequence[TurnRecord]
) -> None:
    await connection.executemany(
        """
        INSERT INTO smarterbot.conversations AS known
          (tenant_id, id, channel_id, contact_id, turn, state, last_in, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id, id) DO UPDATE SET
          turn = excluded.turn, state = excluded.state, changed_at = excluded.changed_at,
          last_in = greatest(known.last_in, excluded.last_in)
        WHERE known.turn < excluded.turn
        """,
        [
            (
                tenant,
                turn.conversation,
                turn.channel,
                turn.contact,
                turn.turn,
                turn.state,
                max((_moment(heard.at * 1000) for heard in turn.heard), default=None),
                _moment(turn.at),
            )
            for turn in sorted(turns, key=lambda turn: (turn.conversation, turn.turn))
        ],
    )
    await connection.executemany(
        """
        INSERT INTO smarterbot.turns (tenant_id, conversation_id, turn, at, state, handoff, failed)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
        """,
        [
            (tenant, t.conversation, t.turn, _moment(t.at), t.state, t.handoff, t.failed)
            for t in turns
        ],
    )
    await connection.executemany(
        """
        INSERT INTO smarterbot.messages
          (tenant_id, ref, conversation_id, turn, place, direction, kind, content, at, parked, wamid)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING
        """,
        list(chain.from_iterable(_messages(tenant, turn) for turn in turns)),
    )
    await connection.executemany(
        """
        INSERT INTO smarterbot.consents
          (tenant_id, conversation_id, turn, purpose, contact_id, granted, evidence, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        [
            (
                tenant,
                t.conversation,
                t.turn,
                c.purpose,
                t.contact,
                c.granted,
                c.evidence,
                _moment(t.at),
            )
            for t in turns
            for c in t.consents
        ],
    )


def _entries(record: Record) -> Iterable[Entry]:
    return record.statuses if isinstance(record, StatusRecord) else (record,)


def _addresses(turn: TurnRecord, scope: str) -> Iterable[tuple[str, str, str]]:
    """(kind, scope, value) of the addresses that this turn heard; as `bot.people.addresses` tells them apart."""
    if turn.sender and turn.sender.bsuid:
        yield "bsuid", scope, turn.sender.bsuid
    if turn.sender and turn.sender.wa_id:
        yield "phone", "", turn.sender.wa_id


def _messages(tenant: TenantId, turn: TurnRecord) -> Iterable[tuple[object, ...]]:
    for place, heard in enumerate(turn.heard):
        yield (
            *(tenant, heard.id, turn.conversation, turn.turn, place, "in", heard.kind),
            *(_json(heard), _moment(heard.at * 1000), False, heard.id),
        )
    for place, said in enumerate(turn.said):
        yield (
            *(tenant, said.ref, turn.conversation, turn.turn, place, "out", _kind(said.content)),
            *(_json(said.content), _moment(turn.at), said.parked, None),
        )


def _kind(content: Content) -> str:
    tag = content.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _text(value: str) -> str:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _json(value: object) -> str:
    return _NUL.sub(rb"\1\\ufffd", _encode(value)).decode()


def _reason(error: Exception) -> str:
    # Never the text: it may repeat what a customer wrote.
    return getattr(error, "sqlstate", None) or type(error).__name__
