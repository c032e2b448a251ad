"""The care book: what is known of accounts and numbers, in PostgreSQL, and told to every process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bot.lanes import StoreLostError, Wire
from bot.people import alerts, channels, health, templates
from bot.people.directory import Directory, publish_directory
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE
from bot.store.secrets import SecretBox
from flows.values.ids import ChannelId, TenantId
from handlers.ports import Channel, Template
from handlers.whatsapp.carebook import BookDownError
from handlers.whatsapp.health import Health

if TYPE_CHECKING:
    from collections.abc import Iterator


class PostgresCareBook:
    """Implements `handlers.whatsapp.carebook.CareBook`."""

    def __init__(
        self, database: Database, wire: Wire, box: SecretBox, directory: Directory
    ) -> None:
        self._database = database
        self._wire = wire
        self._box = box
        self._directory = directory
        self._publishing = asyncio.Lock()
        self._wanted = 0
        self._published = 0

    async def change_template(
        self, channel: Channel, key: tuple[str, str], news: Mapping[str, str], *, at: int
    ) -> tuple[Template | None, Template | None]:
        with _down():
            return await templates.change_template(
                self._database, channel.tenant, channel.waba_id, key, news, at=at
            )

    async def replace_templates(
        self, channel: Channel, found: Sequence[Template], *, as_of: int
    ) -> list[tuple[Template | None, Template | None]]:
        with _down():
            return await templates.replace_templates(
                self._database, channel.tenant, channel.waba_id, found, as_of=as_of
            )

    async def change_health(
        self, channel: Channel, change: Callable[[Health], Health], *, at: int
    ) -> tuple[Health, Health]:
        with _down():
            return await health.change_health(self._database, channel, change, at=at)

    async def set_throughput(self, channel: Channel, per_s: int) -> None:
        with _down():
            await channels.set_throughput(self._database, channel.id, per_s, tenant=channel.tenant)

    async def raise_alert(
        self,
        tenant: TenantId,
        channel: ChannelId | None,
        kind: str,
        about: str,
        *,
        detail: str = "",
        at: int,
    ) -> bool:
        with _down():
            return await alerts.raise_alert(
                self._database, tenant, channel, kind, about, detail=detail, at=at
            )

    async def settle(
        self,
        tenant: TenantId,
        channel: ChannelId | None,
        kinds: Sequence[str],
        about: str | None = None,
        *,
        at: int,
    ) -> None:
        with _down():
            await alerts.settle_kinds(self._database, tenant, channel, tuple(kinds), about, at=at)

    async def publish(self) -> None:
        """See the port. Those who ask while one is under way share the next: it reads everything anyway."""
        self._wanted += 1
        mine = self._wanted
        async with self._publishing:
            if self._published >= mine:
                return
            upto = self._wanted
            with _down():
                await publish_directory(self._database, self._wire, self._box)
            await self._directory.check()
            self._published = upto


@contextmanager
def _down() -> "Iterator[None]":
    try:
        yield
    except (*UNAVAILABLE, TimeoutError, StoreLostError) as error:
        raise BookDownError(type(error).__name__) from error
