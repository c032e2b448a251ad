"""The journal's writer: from the lanes into PostgreSQL, in batches, as often as it takes.

Every record names what makes it unique, and writing it again changes nothing. So a crash between writing and
trimming, and several writers at once, are harmless. While PostgreSQL is down the lines wait in the store and
conversations go on; a line that PostgreSQL will never take is put aside, and the rest goes on.
"""

import asyncio
import hashlib
import random
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

import asyncpg
import msgspec
import structlog

from bot.engine.rota import Rota
from bot.lanes import LaneError, Lanes, StoreLostError
from bot.lanes.lanes import JOURNAL_BYTES_MAX
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.dialog.content import Content
from flows.values.ids import ChannelId, ConversationId, TenantId, Wamid
from handlers.journal import (
    HandoffRecord,
    JoinedRecord,
    MovedRecord,
    Record,
    RefusedRecord,
    SentRecord,
    StatusRecord,
    StatusSeen,
    TurnRecord,
)

LINES_MAX: Final = 100
"""Lines of one shard that are read at once."""
PARTS: Final = 2
"""Of the shards, each written by one process at a time. One writer would be a limit for all workers (about 3,000
messages a second with their statuses); more parts make smaller batches, and four cost a message a twentieth more."""
PAUSE_S: Final = 1.0
REST_S: Final = 0.4
"""Nobody writes for so long after a pass: shorter than the shortest pause."""
BACKOFF_MAX_S: Final = 30.0
DIGEST_BYTES: Final = 32

log = structlog.get_logger()

Entry = (
    TurnRecord
    | SentRecord
    | RefusedRecord
    | StatusSeen
    | HandoffRecord
    | MovedRecord
    | JoinedRecord
)
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
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._lanes = lanes
        self._database = database
        self._lines_max = lines_max
        self._sleep = sleep
        self._jitter = jitter

    async def run(self, rota: Rota, part: int) -> NoReturn:
        """Write what is there, again and again, when it is our turn. An outage of either side is waited for.

        Several writers of one shard would do no harm, but each would ask for and write much of the same.

        Args:
            rota: of the processes, for this part.
            part: which of `PARTS` parts of the shards.
        """
        shards = range(part, self._lanes.shards, PARTS)
        wait_s = PAUSE_S
        while True:
            try:
                more = await self._pass(rota, shards)
            except (*UNAVAILABLE, StoreLostError) as error:
                wait_s = min(wait_s * 2, BACKOFF_MAX_S)
                log.warning("journal.waits", error=type(error).__name__, wait_s=wait_s)
            except (LaneError, StoreError, asyncpg.PostgresError) as error:
                # The schema or the role is not what it should be. No line is at fault, so none is put aside.
                wait_s = BACKOFF_MAX_S
                log.error("journal.stuck", error=type(error).__name__, wait_s=wait_s)
            else:
                if more:
                    continue
                wait_s = PAUSE_S
            # Each process at moments of its own, so that they take turns.
            await self._sleep(wait_s * (0.5 + self._jitter()))

    async def _pass(self, rota: Rota, shards: range) -> bool:
        """Write what is there, if it is our turn; answers whether to go on at once."""
        if not await rota.take():
            return False
        rest_s = 0.0  # after an error somebody else may try
        try:
            _, more = await self._drain(shards)
            rest_s = 0.0 if more else REST_S
        finally:
            rota.pass_on(after_s=rest_s)
        return more

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
        lines, _ = await self._drain(range(self._lanes.shards))
        return lines

    async def _drain(self, shards: range) -> tuple[int, bool]:
        """As `drain_once`, of these shards; also whether one may hold more than was read of it."""
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
                self._lanes.trim_journal(shard, position, raws)
                for shard, (position, raws) in zip(shards, read, strict=True)
                if raws
            )
        )
        more = any(
            len(raws) >= self._lines_max or 2 * sum(map(len, raws)) > JOURNAL_BYTES_MAX
            for _, raws in read
        )
        return sum(len(raws) for _, raws in read), more

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
    moved = [entry for entry in entries if isinstance(entry, MovedRecord)]
    joined = [entry for entry in entries if isinstance(entry, JoinedRecord)]

    if turns:
        # Meta has often taken a message before we write that it was said: then it is one write.
        wamids = {entry.ref: entry.wamid for entry in sent}
        await _write_people(connection, tenant, turns)
        await _write_turns(connection, tenant, turns, wamids)
        await _write_corrections(connection, tenant, turns)
    await _write_moves(connection, tenant, moved, joined)
    await _write_rows(
        connection,
        """
        UPDATE smarterbot.messages AS message SET wamid = told.wamid
        FROM unnest($2::text[], $3::text[]) AS told (ref, wamid)
        WHERE message.tenant_id = $1 AND message.ref = told.ref AND message.wamid IS DISTINCT FROM told.wamid
        """,
        tenant,
        sorted((entry.ref, entry.wamid) for entry in sent),
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.message_statuses (tenant_id, wamid, status, at, category, price_type, code)
        SELECT $1, * FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::integer[])
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [
            (s.wamid, s.status, _moment(s.at * 1000), s.category, s.price_type, s.code)
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
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.refusals (tenant_id, ref, fault, code, at)
        SELECT $1, * FROM unnest($2::text[], $3::text[], $4::integer[], $5::timestamptz[])
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [(r.ref, r.fault, r.code, _moment(r.at)) for r in refused],
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.handoffs (tenant_id, conversation_id, seq, contact_id, at, note, team, about)
        SELECT $1, * FROM unnest(
          $2::uuid[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[], $8::text[]
        )
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [
            (h.conversation, h.seq, h.contact, _moment(h.at), _text(h.note), h.team, h.about)
            for h in handoffs
        ],
    )


async def _write_rows(
    connection: Connection, sql: str, tenant: TenantId, rows: Sequence[tuple[object, ...]]
) -> None:
    """One statement for all rows: $1 is the tenant, $2 and on are the columns. A statement a row costs four times as much."""
    if rows:
        await connection.execute(sql, tenant, *zip(*rows, strict=True))


async def _write_people(
    connection: Connection, tenant: TenantId, turns: Sequence[TurnRecord]
) -> None:
    # In one order everywhere: two writers that lock rows in different orders would wait for each other.
    latest = {turn.contact: turn for turn in turns}
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.contacts AS contact (tenant_id, id, name, created_at)
        SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::timestamptz[])
        ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name
        WHERE excluded.name NOT IN ('', contact.name)
        """,
        tenant,
        [
            (contact, _text(turn.sender.name if turn.sender else ""), _moment(turn.at))
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
    held = [(*address, *owner) for address, owner in sorted(owners.items())]
    await _write_rows(
        connection,
        """
        UPDATE smarterbot.contact_addresses AS address SET valid_to = held.at
        FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[])
          AS held (kind, scope, value, contact_id, at)
        WHERE address.tenant_id = $1 AND address.kind = held.kind AND address.scope = held.scope
          AND address.value = held.value AND address.valid_to IS NULL
          AND address.contact_id <> held.contact_id AND address.valid_from <= held.at
        """,
        tenant,
        held,
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.contact_addresses (tenant_id, kind, scope, value, contact_id, valid_from)
        SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[])
        ON CONFLICT DO NOTHING
        """,
        tenant,
        held,
    )


async def _write_turns(
    connection: Connection,
    tenant: TenantId,
    turns: Sequence[TurnRecord],
    wamids: Mapping[str, Wamid],
) -> None:
    """`wamids`: of what was said, by its reference, as far as it is known."""
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.conversations AS known
          (tenant_id, id, channel_id, contact_id, turn, state, last_in, changed_at)
        SELECT $1, * FROM unnest(
          $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[]
        )
        ON CONFLICT (tenant_id, id) DO UPDATE SET
          turn = excluded.turn, state = excluded.state, changed_at = excluded.changed_at,
          last_in = greatest(known.last_in, excluded.last_in)
        WHERE known.turn < excluded.turn
        """,
        tenant,
        list(_conversations(turns)),
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.turns (tenant_id, conversation_id, turn, at, state, handoff, failed)
        SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [(t.conversation, t.turn, _moment(t.at), t.state, t.handoff, t.failed) for t in turns],
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.messages
          (tenant_id, conversation_id, turn, ref, place, direction, kind, content, at, parked, wamid)
        SELECT $1, * FROM unnest(
          $2::uuid[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::jsonb[],
          $9::timestamptz[], $10::boolean[], $11::text[]
        )
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [message for turn in turns for message in _messages(turn, wamids)],
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.consents
          (tenant_id, conversation_id, turn, purpose, contact_id, granted, evidence, at)
        SELECT $1, * FROM unnest(
          $2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::boolean[], $7::text[], $8::timestamptz[]
        )
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [
            (t.conversation, t.turn, c.purpose, t.contact, c.granted, c.evidence, _moment(t.at))
            for t in turns
            for c in t.consents
        ],
    )


async def _write_corrections(
    connection: Connection, tenant: TenantId, turns: Sequence[TurnRecord]
) -> None:
    """What was heard, as it is now. A text that was taken back is nowhere any more."""
    for turn in turns:
        for told in turn.corrections:
            await connection.execute(
                """
                UPDATE smarterbot.messages SET changed_at = $4, content = CASE
                  WHEN $5::text IS NOT NULL
                    THEN content || jsonb_build_object('text', $5::text, 'changed', 'edited')
                  ELSE jsonb_strip_nulls(jsonb_build_object(
                    'type', content->'type', 'id', content->'id', 'at', content->'at', 'kind', content->'kind',
                    'changed', 'revoked'
                  ))
                END
                WHERE tenant_id = $1 AND wamid = $2 AND conversation_id = $3
                  AND content->>'type' = 'heard' AND content->>'changed' IS DISTINCT FROM 'revoked'
                  AND (changed_at IS NULL OR changed_at <= $4 OR $5::text IS NULL)
                """,
                tenant,
                told.about,
                turn.conversation,
                _moment(told.at * 1000),
                None if told.text is None else _text(told.text),
            )


async def _write_moves(
    connection: Connection,
    tenant: TenantId,
    moved: Sequence[MovedRecord],
    joined: Sequence[JoinedRecord],
) -> None:
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.proofs_voided (tenant_id, contact_id, at, why)
        SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[], $4::text[])
        ON CONFLICT DO NOTHING
        """,
        tenant,
        sorted({(m.contact, _moment(m.at), m.why) for m in moved}),
    )
    await _write_rows(
        connection,
        """
        UPDATE smarterbot.contact_addresses AS address SET valid_to = greatest(left_.at, address.valid_from)
        FROM unnest($2::uuid[], $3::timestamptz[]) AS left_ (contact_id, at)
        WHERE address.tenant_id = $1 AND address.contact_id = left_.contact_id AND address.valid_to IS NULL
        """,
        tenant,
        sorted({(m.contact, _moment(m.at)) for m in moved if m.closed}),
    )
    await _write_rows(
        connection,
        """
        UPDATE smarterbot.conversations AS conversation SET state = ''
        FROM unnest($2::uuid[]) AS gone (contact_id)
        WHERE conversation.tenant_id = $1 AND conversation.contact_id = gone.contact_id AND conversation.state <> ''
        """,
        tenant,
        sorted({(m.contact,) for m in moved if m.closed} | {(j.contact,) for j in joined}),
    )
    await _write_rows(
        connection,
        """
        UPDATE smarterbot.contacts AS contact SET joined_into = told.into_, joined_at = told.at
        FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) AS told (id, into_, at)
        WHERE contact.tenant_id = $1 AND contact.id = told.id
        """,
        tenant,
        sorted((j.contact, j.into, _moment(j.at)) for j in joined),
    )


def _conversations(turns: Sequence[TurnRecord]) -> Iterable[tuple[object, ...]]:
    """Each conversation once, in order, as its last turn left it."""
    latest: dict[ConversationId, TurnRecord] = {}
    last_in: dict[ConversationId, int] = {}
    for turn in sorted(turns, key=lambda turn: turn.turn):
        latest[turn.conversation] = turn
        heard_at = max((heard.at for heard in turn.heard), default=0)
        last_in[turn.conversation] = max(last_in.get(turn.conversation, 0), heard_at)
    for id, turn in sorted(latest.items()):
        heard_at = last_in[id]
        yield (
            *(id, turn.channel, turn.contact, turn.turn, turn.state),
            *(_moment(heard_at * 1000) if heard_at else None, _moment(turn.at)),
        )


def _entries(record: Record) -> Iterable[Entry]:
    return record.statuses if isinstance(record, StatusRecord) else (record,)


def _addresses(turn: TurnRecord, scope: str) -> Iterable[tuple[str, str, str]]:
    """(kind, scope, value) of the addresses that this turn heard; as `bot.people.addresses` tells them apart."""
    if turn.sender and turn.sender.bsuid:
        yield "bsuid", scope, turn.sender.bsuid
    if turn.sender and turn.sender.wa_id:
        yield "phone", "", turn.sender.wa_id


def _messages(turn: TurnRecord, wamids: Mapping[str, Wamid]) -> Iterable[tuple[object, ...]]:
    for place, heard in enumerate(turn.heard):
        yield (
            *(turn.conversation, turn.turn, heard.id, place, "in", heard.kind),
            *(_json(heard), _moment(heard.at * 1000), False, heard.id),
        )
    for place, heard in enumerate(turn.by_hand):
        yield (
            *(turn.conversation, turn.turn, heard.id, place, "out", heard.kind),
            *(_json(heard), _moment(heard.at * 1000), False, heard.id),
        )
    for place, said in enumerate(turn.said):
        yield (
            *(turn.conversation, turn.turn, said.ref, place, "out", _kind(said.content)),
            *(_json(said.content), _moment(turn.at), said.parked, wamids.get(said.ref)),
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
    text = _encode(value)
    if b"\\u0000" in text:
        text = _NUL.sub(rb"\1\\ufffd", text)
    return text.decode()


def _reason(error: Exception) -> str:
    # Never the text: it may repeat what a customer wrote.
    return getattr(error, "sqlstate", None) or type(error).__name__
