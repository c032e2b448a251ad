"""The directory: all firms and channels, in memory.

PostgreSQL holds the truth. The store holds a copy (tokens sealed) with a version, so that a process starts and learns
of changes while PostgreSQL is down. Whoever changes a firm or a channel publishes.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final, NoReturn, cast

import asyncpg
import msgspec
import structlog

from bot.lanes import PREFIX, LaneError, StoreLostError, Wire
from bot.people.channels import (
    SealedChannel,
    open_form_key,
    open_token,
    sealed_channel_of,
)
from bot.people.errors import DirectoryError
from bot.people.tenants import firm_of
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE, SealError, StoreError
from bot.store.secrets import SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId
from handlers.ports import Channel

KEY: Final = f"{PREFIX}directory"
"""HASH: snapshot, version (a digest of it), pepper (sealed)."""

CHECK_S: Final = 2.0
PUBLISH_WAIT_S: Final = 10.0
UNKNOWN_MAX: Final = 1_000
LOCK_NUMBER: Final = 0x44495245  # any number that nobody else takes; "DIRE"

log = structlog.get_logger()


class Snapshot(msgspec.Struct, frozen=True):
    """Everything in the directory, as the store keeps it."""

    firms: tuple[Firm, ...]
    channels: tuple[Channel, ...]
    tokens: dict[ChannelId, str]
    """Sealed."""
    form_keys: dict[ChannelId, str] = {}
    """Sealed, of those that have one."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Snapshot).decode


async def publish_directory(database: Database, wire: Wire, box: SecretBox) -> None:
    """Copy the directory from PostgreSQL into the store; its version changes with it.

    Call it after every change of a firm or a channel.

    Raises:
        StoreLostError, bot.store.errors.UNAVAILABLE: one of the two is down; the copy is as it was.
    """
    async with asyncio.timeout(PUBLISH_WAIT_S), database.system() as connection:
        # One publisher at a time: otherwise a slower one would put back what it read before a change.
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})")
        firms = await connection.fetch("SELECT * FROM smarterbot.directory_tenants()")
        rows = await connection.fetch("SELECT * FROM smarterbot.directory_channels()")
        pepper = await connection.fetchval("SELECT pepper FROM smarterbot.installation")
        channels = [sealed_channel_of(row) for row in rows]
        snapshot = _encode(
            Snapshot(
                firms=tuple(firm_of(row) for row in firms),
                channels=tuple(sealed.channel for sealed in channels),
                tokens={sealed.channel.id: sealed.token for sealed in channels},
                form_keys={each.channel.id: each.form_key for each in channels if each.form_key},
            )
        )
        version = hashlib.blake2b(snapshot, digest_size=16).digest()
        sealed_pepper = _seal_pepper(box, pepper)
        fields = ("version", version, "snapshot", snapshot, "pepper", sealed_pepper)
        await wire.call("HSET", KEY, *fields, replicated=True)


class Directory:
    """Implements `handlers.ports.Directory`."""

    def __init__(self, database: Database, wire: Wire, box: SecretBox) -> None:
        self._database = database
        self._wire = wire
        self._box = box
        self._version = b""
        self._pepper = b""
        self._firms: dict[TenantId, Firm] = {}
        self._channels: dict[ChannelId, Channel] = {}
        self._by_number: dict[str, Channel] = {}
        self._tokens: dict[ChannelId, str] = {}
        self._form_keys: dict[ChannelId, str] = {}
        self._unknown: set[str] = set()
        self._asked: set[str] = set()

    @property
    def pepper(self) -> bytes:
        """The key of the addresses' hashes, one for ever for this installation."""
        assert self._pepper, "the directory has not been loaded"
        return self._pepper

    def channel_by_number(self, phone_number_id: str) -> Channel | None:
        """See the port. A number that is not there is looked up behind the scenes, once for each version."""
        channel = self._by_number.get(phone_number_id)
        if (
            channel is None
            and len(self._asked) < UNKNOWN_MAX
            and phone_number_id not in self._asked
        ):
            self._unknown.add(phone_number_id)
        return channel

    def channel(self, channel: ChannelId) -> Channel | None:
        return self._channels.get(channel)

    def channels_of_waba(self, waba_id: str) -> tuple[Channel, ...]:
        return tuple(each for each in self._channels.values() if each.waba_id == waba_id)

    def channels_of(self, tenant: TenantId) -> tuple[Channel, ...]:
        """All numbers of a firm."""
        return tuple(each for each in self._channels.values() if each.tenant == tenant)

    def firm(self, tenant: TenantId) -> Firm | None:
        return self._firms.get(tenant)

    def token(self, channel: ChannelId) -> str:
        return self._tokens.get(channel, "")

    def form_keys(self, channel: ChannelId) -> str:
        return self._form_keys.get(channel, "")

    async def load(self) -> None:
        """Read everything; called once, before the server hears anything.

        Raises:
            DirectoryError: PostgreSQL is down, and the store has no copy.
        """
        await self._publish()
        await self._adopt()
        if not self._version:
            raise DirectoryError(
                "PostgreSQL cannot be reached and the store has no copy of the directory yet: "
                "check DATABASE_URL, or run `smarterbot migrate` if this is the first start"
            )

    async def check(self) -> None:
        """Take over what was published since, and look for the numbers that were asked for in vain."""
        if self._unknown:
            self._asked |= self._unknown
            self._unknown.clear()
            await self._publish()
        await self._adopt()

    async def run(self) -> NoReturn:
        """Check every `CHECK_S`, for ever; whatever fails is tried again at the next."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                await self.check()
            except (DirectoryError, StoreError) as error:
                # We go on with what we have: it was right when it was loaded.
                log.error("directory.stale", error=str(error))

    async def _publish(self) -> None:
        try:
            await publish_directory(self._database, self._wire, self._box)
        except (*UNAVAILABLE, StoreLostError) as error:
            log.warning("directory.not_published", error=type(error).__name__)
        except asyncpg.SyntaxOrAccessError as error:
            # Class 42: the schema, a function or a right is missing.
            raise DirectoryError(
                f"the schema is not up to date, run `smarterbot migrate`: {error}"
            ) from error

    async def _adopt(self) -> None:
        try:
            version = await self._read("version")
            if version is None:
                # The store was emptied: our own memory is as good as ever, and PostgreSQL better.
                await self._publish()
                version = await self._read("version")
            if version is None or version == self._version:
                return
            snapshot, pepper = await self._read("snapshot"), await self._read("pepper")
        except (StoreLostError, LaneError) as error:
            log.warning("directory.not_checked", error=type(error).__name__)
            return
        if snapshot is None or pepper is None:
            return
        try:
            self._pepper = _open_pepper(self._box, pepper)
        except SealError as error:
            raise DirectoryError(f"SMARTERBOT_KEYS: {error}") from error
        self._put(_decode(snapshot))
        self._version = version
        self._asked.clear()
        log.info("directory.loaded", firms=len(self._firms), channels=len(self._channels))

    async def _read(self, field: str) -> bytes | None:
        # A field of a hash is one string.
        return cast("bytes | None", await self._wire.call("HGET", KEY, field))

    def _put(self, snapshot: Snapshot) -> None:
        self._firms = {firm.id: firm for firm in snapshot.firms}
        self._channels = {channel.id: channel for channel in snapshot.channels}
        self._by_number = {channel.phone_number_id: channel for channel in snapshot.channels}
        sealed = [
            SealedChannel(
                channel,
                snapshot.tokens.get(channel.id, ""),
                snapshot.form_keys.get(channel.id, ""),
            )
            for channel in snapshot.channels
        ]
        self._tokens = {each.channel.id: self._opened(each, open_token) for each in sealed}
        self._form_keys = {
            each.channel.id: self._opened(each, open_form_key) for each in sealed if each.form_key
        }

    def _opened(
        self, sealed: SealedChannel, unseal: Callable[[SecretBox, SealedChannel], str]
    ) -> str:
        try:
            return unseal(self._box, sealed)
        except SealError as error:
            # One firm's secret must not keep the others from working; its sends say that there is none.
            log.error("directory.secret_sealed", channel=sealed.channel.id, error=str(error))
            return ""


def _seal_pepper(box: SecretBox, pepper: bytes) -> bytes:
    return box.seal(pepper.hex(), tenant="installation", field="pepper").encode()


def _open_pepper(box: SecretBox, sealed: bytes) -> bytes:
    return bytes.fromhex(box.open(sealed.decode(), tenant="installation", field="pepper"))
