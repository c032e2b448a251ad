"""The journal's writer: from the lanes into PostgreSQL, in batches, as often as it takes.

Every record names what makes it unique, and writing it again changes nothing. So a crash between writing and
trimming, and several writers at once, are harmless. While PostgreSQL is down the lines wait in the store and
conversations go on; a line that PostgreSQL will never take is put aside, and the rest goes on.
"""

import asyncio
import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

import asyncpg
import msgspec
import structlog

from bot.billing.meter import fares_of, write_fares
from bot.engine.rota import Rota
from bot.lanes import LaneError, Lanes, StoreLostError
from bot.lanes.lanes import JOURNAL_BYTES_MAX
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.dialog.content import Content
from flows.values.ids import ChannelId, ContactId, ConversationId, TenantId, Wamid
from handlers.journal import (
    CampaignRecord,
    HandoffRecord,
    JoinedRecord,
    MovedRecord,
    Otherwise,
    ParkedRecord,
    Record,
    RefusedRecord,
    Said,
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

Sends = Mapping[str, tuple[Wamid, datetime]]
"""By the reference of a message: Meta's id of it, and when Meta took it."""

log = structlog.get_logger()

Entry = (
    TurnRecord
    | SentRecord
    | ParkedRecord
    | RefusedRecord
    | StatusSeen
    | HandoffRecord
    | CampaignRecord
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
    fates = _fates(entries)
    refused = [entry for entry in entries if isinstance(entry, RefusedRecord)]
    statuses = [entry for entry in entries if isinstance(entry, StatusSeen)]
    handoffs = [entry for entry in entries if isinstance(entry, HandoffRecord)]
    campaigns = {
        entry.campaign: entry
        for entry in sorted(
            (entry for entry in entries if isinstance(entry, CampaignRecord)),
            key=lambda entry: entry.step,
        )
    }
    moved = [entry for entry in entries if isinstance(entry, MovedRecord)]
    joined = [entry for entry in entries if isinstance(entry, JoinedRecord)]

    if turns:
        # Meta has often taken a message before we write that it was said: then it is one write.
        sends = {
            ref: (fate.wamid, _moment(fate.at))
            for ref, fate in fates.items()
            if fate.wamid is not None and not fate.moved
        }
        await _write_people(connection, tenant, turns)
        await _write_turns(connection, tenant, turns, sends)
        await _write_corrections(connection, tenant, turns)
    await _write_moves(connection, tenant, moved, joined)
    await _write_rows(
        connection,
        # Sent again, it has not failed any more. What was told before what is known is written a second time.
        """
        UPDATE smarterbot.messages AS message SET
          wamid = coalesce(told.wamid, message.wamid),
          status = CASE WHEN told.wamid <> message.wamid THEN 0 ELSE message.status END,
          parked_until = told.until, moved_at = told.at, again = message.again OR told.again,
          left_as = coalesce(told.left_as, message.left_as)
        FROM unnest(
          $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::boolean[], $7::jsonb[], $8::boolean[]
        ) AS told (ref, wamid, at, until, again, left_as, moved)
        WHERE message.tenant_id = $1 AND message.ref = told.ref
          AND (message.moved_at IS NULL OR message.moved_at <= told.at)
          AND (told.wamid IS NOT NULL AND message.wamid IS DISTINCT FROM told.wamid
            OR message.parked_until IS DISTINCT FROM told.until
            OR told.moved AND message.moved_at IS DISTINCT FROM told.at)
        """,
        tenant,
        [
            (ref, fate.wamid, _moment(fate.at), fate.until, fate.again, fate.left_as, fate.moved)
            for ref, fate in sorted(fates.items())
        ],
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
    await write_fares(connection, tenant, fares_of(sent, statuses))
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
    await _write_rows(
        connection,
        """
        UPDATE smarterbot.campaigns AS campaign SET
          step = told.step, status = told.status, released = told.released, waits_for = told.waits_for,
          changed_at = told.at
        FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::integer[], $6::text[], $7::timestamptz[])
          AS told (id, step, status, released, waits_for, at)
        WHERE campaign.tenant_id = $1 AND campaign.id = told.id AND campaign.step < told.step
        """,
        tenant,
        [
            (c.campaign, c.step, c.status, c.released, c.waits_for, _moment(c.at))
            for _, c in sorted(campaigns.items())
        ],
    )


@dataclass(slots=True)
class _Fate:
    """What some lines tell of one message, the last word being right."""

    at: int = 0
    """ms since the epoch."""
    wamid: Wamid | None = None
    until: datetime | None = None
    """It waits for the person until then."""
    again: bool = False
    left_as: str | None = None
    """JSON of a template."""
    moved: bool = False
    """It did not simply leave."""


def _fates(entries: Sequence[Entry]) -> dict[str, _Fate]:
    """By the message's reference."""
    fates: defaultdict[str, _Fate] = defaultdict(_Fate)
    for entry in entries:
        if not isinstance(entry, SentRecord | ParkedRecord | RefusedRecord):
            continue
        fate = fates[entry.ref]
        if entry.at < fate.at:
            continue  # a line that is written a second time
        if isinstance(entry, RefusedRecord) and fate.at and fate.until is None:
            continue  # it ends a wait, and nothing else
        fate.until = None
        fate.at = entry.at
        match entry:
            case SentRecord():
                fate.wamid = entry.wamid
                fate.again = fate.again or entry.again
                fate.left_as = fate.left_as if entry.left_as is None else _json(entry.left_as)
                fate.moved = fate.moved or entry.again or entry.left_as is not None
            case ParkedRecord():
                fate.until, fate.moved = _moment(entry.until), True
            case RefusedRecord():
                pass
    return fates


async def _write_rows(
    connection: Connection, sql: str, tenant: TenantId, rows: Sequence[tuple[object, ...]]
) -> None:
    """One statement for all rows: $1 is the tenant, $2 and on are the columns. A statement a row costs four times as much."""
    if rows:
        await connection.execute(sql, tenant, *zip(*rows, strict=True))


async def _write_changes(
    connection: Connection,
    changed: str,
    columns: int,
    sql: str,
    tenant: TenantId,
    rows: Sequence[tuple[object, ...]],
) -> None:
    """`sql`, as `_write_rows`, for those rows alone of which `changed` answers the numbers, from 1.

    Nearly always nothing has changed. `changed` sees the first `columns` of the rows and looks each one up: `LATERAL`
    with `OFFSET 0` makes it so. Where a table is young, a join in the `UPDATE` itself reads all that the firm has in it
    for each row.
    """
    if not rows:
        return
    found = await connection.fetch(
        changed, tenant, *zip(*(row[:columns] for row in rows), strict=True)
    )
    await _write_rows(connection, sql, tenant, [rows[at["n"] - 1] for at in found])


async def _write_people(
    connection: Connection, tenant: TenantId, turns: Sequence[TurnRecord]
) -> None:
    # In one order everywhere: two writers that lock rows in different orders would wait for each other.
    came = {turn.contact: turn.at for turn in reversed(turns)}
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.contacts AS contact (tenant_id, id, created_at)
        SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[])
        ON CONFLICT (tenant_id, id) DO UPDATE SET created_at = excluded.created_at
        WHERE excluded.created_at < contact.created_at
        """,
        tenant,
        [(contact, _moment(at)) for contact, at in sorted(came.items())],
    )
    named = {
        turn.contact: turn for turn in turns if turn.turn > 0 and turn.sender and turn.sender.name
    }
    await _write_changes(
        connection,
        """
        SELECT told.n FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS told (contact_id, name, n),
          LATERAL (
            SELECT FROM smarterbot.contacts AS contact
            WHERE contact.tenant_id = $1 AND contact.id = told.contact_id AND contact.name <> told.name OFFSET 0
          ) AS other
        """,
        2,
        # A writer that was overtaken tells old names.
        """
        UPDATE smarterbot.contacts AS contact SET name = told.name
        FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::timestamptz[])
          AS told (contact_id, name, conversation_id, turn, at)
        WHERE contact.tenant_id = $1 AND contact.id = told.contact_id AND contact.name <> told.name
          AND NOT EXISTS (
            SELECT FROM smarterbot.conversations AS known
            WHERE known.tenant_id = $1 AND known.contact_id = contact.id
              AND CASE known.id WHEN told.conversation_id THEN known.turn > told.turn ELSE known.changed_at > told.at END
          )
        """,
        tenant,
        [
            (contact, _text(turn.sender.name), turn.conversation, turn.turn, _moment(turn.at))
            for contact, turn in sorted(named.items())
            if turn.sender
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
    for held in _owners(turns, scopes):
        await _write_owners(connection, tenant, held)


async def _write_owners(
    connection: Connection, tenant: TenantId, held: Sequence[tuple[object, ...]]
) -> None:
    """(kind, scope, value, contact, since when) of addresses, each once."""
    await _write_changes(
        connection,
        """
        SELECT held.n FROM unnest($2::text[], $3::text[], $4::text[], $5::uuid[])
            WITH ORDINALITY AS held (kind, scope, value, contact_id, n),
          LATERAL (
            SELECT FROM smarterbot.contact_addresses AS address
            WHERE address.tenant_id = $1 AND address.kind = held.kind AND address.scope = held.scope
              AND address.value = held.value AND address.valid_to IS NULL AND address.contact_id <> held.contact_id
            OFFSET 0
          ) AS other
        """,
        4,
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
    sends: Sends,
) -> None:
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.conversations AS known
          (tenant_id, id, channel_id, contact_id, turn, state, last_in, changed_at)
        SELECT $1, * FROM unnest(
          $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[]
        )
        ON CONFLICT (tenant_id, id) DO UPDATE SET
          turn = greatest(known.turn, excluded.turn),
          state = CASE WHEN known.turn < excluded.turn THEN excluded.state ELSE known.state END,
          changed_at = CASE WHEN known.turn < excluded.turn THEN excluded.changed_at ELSE known.changed_at END,
          last_in = greatest(known.last_in, excluded.last_in)
        WHERE known.turn < excluded.turn OR greatest(known.last_in, excluded.last_in) IS DISTINCT FROM known.last_in
        """,
        tenant,
        list(_conversations(turns)),
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.turns (tenant_id, conversation_id, turn, at, state, handoff, failed, ended)
        SELECT $1, * FROM unnest(
          $2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[]
        )
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [
            (t.conversation, t.turn, _moment(t.at), t.state, t.handoff, t.failed, " ".join(t.ended))
            for t in turns
        ],
    )
    await _write_rows(
        connection,
        """
        INSERT INTO smarterbot.messages
          (tenant_id, conversation_id, turn, ref, place, direction, kind, content, at, otherwise, wamid, moved_at)
        SELECT $1, * FROM unnest(
          $2::uuid[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::jsonb[],
          $9::timestamptz[], $10::jsonb[], $11::text[], $12::timestamptz[]
        )
        ON CONFLICT DO NOTHING
        """,
        tenant,
        [message for turn in turns for message in _messages(turn, sends)],
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


def _owners(
    turns: Sequence[TurnRecord], scopes: Mapping[ChannelId, str]
) -> Iterable[list[tuple[object, ...]]]:
    """Whose each address was, from when on; one list after the other, each with an address once: nearly always one,
    and one more for each time that an address changed hands meanwhile."""
    runs: dict[tuple[str, str, str], list[tuple[ContactId, datetime]]] = {}
    # Conversations of several shards stand one behind the other here.
    for turn in sorted(turns, key=lambda turn: turn.at):
        for address in _addresses(turn, scopes.get(turn.channel, "")):
            run = runs.setdefault(address, [])
            if not run or run[-1][0] != turn.contact:
                run.append((turn.contact, _moment(turn.at)))
    for n in range(max(map(len, runs.values()), default=0)):
        yield [(*address, *run[n]) for address, run in sorted(runs.items()) if n < len(run)]


def _entries(record: Record) -> Iterable[Entry]:
    return record.statuses if isinstance(record, StatusRecord) else (record,)


def _addresses(turn: TurnRecord, scope: str) -> Iterable[tuple[str, str, str]]:
    """(kind, scope, value) of the addresses that this turn heard; as `bot.people.addresses` tells them apart."""
    if turn.sender and turn.sender.bsuid:
        yield "bsuid", scope, turn.sender.bsuid
    if turn.sender and turn.sender.wa_id:
        yield "phone", "", turn.sender.wa_id


def _messages(turn: TurnRecord, sends: Sends) -> Iterable[tuple[object, ...]]:
    for place, heard in enumerate(turn.heard):
        yield (
            *(turn.conversation, turn.turn, heard.id, place, "in", heard.kind),
            *(_json(heard), _moment(heard.at * 1000), None, heard.id, None),
        )
    for place, heard in enumerate(turn.by_hand):
        yield (
            *(turn.conversation, turn.turn, heard.id, place, "out", heard.kind),
            *(_json(heard), _moment(heard.at * 1000), None, heard.id, None),
        )
    for place, said in enumerate(turn.said):
        yield (
            *(turn.conversation, turn.turn, said.ref, place, "out", _kind(said.content)),
            *(
                _json(said.content),
                _moment(turn.at),
                _otherwise(said),
                *sends.get(said.ref, (None, None)),
            ),
        )


def _otherwise(said: Said) -> str | None:
    return None if said.otherwise == Otherwise() else _json(said.otherwise)


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
