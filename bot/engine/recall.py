"""Serves the lanes `recall/<conversation>`: what a message said that Meta took and then did not deliver.

A `failed` status names it and no more. The journal holds the words, so this alone waits for PostgreSQL.
"""

from typing import Final

import asyncpg
import msgspec
import structlog

from bot.store.database import Database
from bot.store.errors import UNAVAILABLE
from flows.dialog.content import Content, Template
from flows.values.ids import ChannelId
from handlers.actions import Recall, Say
from handlers.events import Refused
from handlers.journal import Otherwise
from handlers.ports import Again, Clock, Dead, Done, Item, Outcome

REST_MS: Final = 2_000  # the journal is a second or two behind
REST_MS_MAX: Final = 60_000
DOWN_REST_MS: Final = 10_000
TRIES_MAX: Final = 30  # half an hour of a journal that works

log = structlog.get_logger()

_decode: Final = msgspec.json.Decoder(Recall).decode
_decode_content: Final = msgspec.json.Decoder(Content).decode
_decode_template: Final = msgspec.json.Decoder(Template).decode
_decode_otherwise: Final = msgspec.json.Decoder(Otherwise).decode


class Recaller:
    """The handler of kind `recall`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @property
    def kind(self) -> str:
        return "recall"

    async def serve(self, item: Item) -> Outcome:
        try:
            recall = _decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        try:
            say = await self._find(recall)
        except UNAVAILABLE as error:
            log.warning("recall.waits", item=item.id, error=type(error).__name__)
            return Again(DOWN_REST_MS, "database_down", counts=False)
        if say is None:
            if item.tries < TRIES_MAX:
                return Again(min(REST_MS << min(item.tries - 1, 5), REST_MS_MAX), "not_journaled")
            # Its status is journaled under the same wamid: it is not lost in silence, only not repeated.
            log.error("recall.unknown", item=item.id, code=recall.code)
            return Done()
        return Done(
            event=Refused(
                ref=say.ref,
                fault=recall.fault,
                code=recall.code,
                item=recall.item,
                wamid=recall.wamid,
                say=say,
            )
        )

    async def _find(self, recall: Recall) -> Say | None:
        async with self._database.tenant(recall.tenant) as connection:
            row = await connection.fetchrow(
                """
                SELECT m.ref, m.content, m.otherwise, m.left_as, m.again, coalesce(m.moved_at, m.at) AS sent_at,
                  c.channel_id
                FROM smarterbot.messages m
                JOIN smarterbot.conversations c ON c.tenant_id = m.tenant_id AND c.id = m.conversation_id
                WHERE m.tenant_id = $1 AND m.wamid = $2 AND m.direction = 'out'
                  AND m.content->>'type' <> 'heard'
                """,
                recall.tenant,
                recall.wamid,
            )
        return None if row is None else _say(recall, row)


def _say(recall: Recall, row: asyncpg.Record) -> Say:
    """The message as it left."""
    content = _decode_content(row["content"])
    otherwise = Otherwise() if row["otherwise"] is None else _decode_otherwise(row["otherwise"])
    stands_for, instead = otherwise.stands_for, otherwise.instead
    if row["left_as"] is not None and not isinstance(content, Template):
        content, stands_for, instead = _decode_template(row["left_as"]), (content,), None
    return Say(
        tenant=recall.tenant,
        channel=ChannelId(str(row["channel_id"])),
        ref=row["ref"],
        content=content,
        at=round(row["sent_at"].timestamp() * 1000),
        instead=instead,
        stands_for=stands_for,
        answers=otherwise.answers,
        expires=otherwise.expires,
        again=row["again"],
    )
