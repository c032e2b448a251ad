"""The directory: all firms and channels, in memory.

PostgreSQL holds the truth. The store holds a copy (tokens sealed) with a version, so that a process starts and learns
of changes while PostgreSQL is down. Whoever changes a firm or a channel publishes.
"""

import asyncio
import contextlib
import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NoReturn, cast

import asyncpg
import msgspec
import structlog

from bot.lanes import PREFIX, LaneError, StoreLostError, Wire
from bot.people.api_keys import ApiKey, has_keys, key_of
from bot.people.channels import (
    SealedChannel,
    open_form_key,
    open_token,
    sealed_channel_of,
)
from bot.people.errors import DirectoryError
from bot.people.templates import template_of
from bot.people.tenants import firm_of
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE, SealError, StoreError
from bot.store.secrets import SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, KeyId, TenantId
from handlers.ports import Channel, Template

KEY: Final = f"{PREFIX}directory"
"""HASH: snapshot, version (a digest of it), pepper (sealed)."""

CHECK_S: Final = 2.0
AGAIN_S: Final = 1.0  # between two reads, whoever asks for them
LOOK_AGAIN_S_MAX: Final = 3.0
PUBLISH_WAIT_S: Final = 10.0
UNKNOWN_MAX: Final = 1_000
ASK_S: Final = 1.0
"""PostgreSQL is asked for unknown keys once in so long, however many are shown."""
LOCK_NUMBER: Final = 0x44495245  # any number that nobody else takes; "DIRE"

log = structlog.get_logger()


class Account(msgspec.Struct, frozen=True):
    """A WABA of a firm."""

    tenant: TenantId
    waba_id: str
    templates: tuple[Template, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """Everything in the directory, as the store keeps it."""

    firms: tuple[Firm, ...]
    channels: tuple[Channel, ...]
    tokens: dict[ChannelId, str]
    """Sealed."""
    accounts: tuple[Account, ...] = ()
    holds: dict[ChannelId, tuple[str, ...]] = {}
    alerts: dict[str, int] = {}
    """How many of each kind are open, of all firms together."""
    keys: tuple[ApiKey, ...] = ()
    form_keys: dict[ChannelId, str] = {}
    """Sealed, of those that have one."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Snapshot).decode


async def publish_directory(database: Database, wire: Wire, box: SecretBox) -> None:
    """Copy the directory from PostgreSQL into the store; its version changes with it.

    Call it after every change of a firm, a channel, a key, a template, a hold or an alert.

    Raises:
        StoreLostError, bot.store.errors.UNAVAILABLE: one of the two is down; the copy is as it was.
    """
    async with asyncio.timeout(PUBLISH_WAIT_S), database.system() as connection:
        # One publisher at a time: otherwise a slower one would put back what it read before a change.
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})")
        firms = await connection.fetch("SELECT * FROM smarterbot.directory_tenants()")
        rows = await connection.fetch("SELECT * FROM smarterbot.directory_channels()")
        keys = await connection.fetch("SELECT * FROM smarterbot.directory_keys()")
        pepper = await connection.fetchval("SELECT pepper FROM smarterbot.installation")
        templates = await connection.fetch("SELECT * FROM smarterbot.directory_templates()")
        holds = await connection.fetch("SELECT * FROM smarterbot.directory_holds()")
        alerts = await connection.fetch("SELECT * FROM smarterbot.directory_alerts()")
        channels = [sealed_channel_of(row) for row in rows]
        snapshot = _encode(
            Snapshot(
                firms=tuple(firm_of(row) for row in firms),
                channels=tuple(sealed.channel for sealed in channels),
                tokens={sealed.channel.id: sealed.token for sealed in channels},
                accounts=_accounts(templates),
                holds={ChannelId(str(row["channel_id"])): tuple(row["holds"]) for row in holds},
                alerts={row["kind"]: row["open"] for row in alerts},
                keys=tuple(key_of(row) for row in keys),
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
        self._by_account: dict[str, tuple[Channel, ...]] = {}
        self._templates: dict[tuple[TenantId, str, str, str], Template] = {}
        self._holds: dict[ChannelId, tuple[str, ...]] = {}
        self._alerts: dict[str, int] = {}
        self._form_keys: dict[ChannelId, str] = {}
        self._unknown: set[str] = set()
        self._asked: set[str] = set()
        self._keys: dict[KeyId, ApiKey] = {}
        self._unknown_keys: set[KeyId] = set()
        """Keys that were shown and are not known, since PostgreSQL was last asked."""
        self._asking = asyncio.Lock()
        self._asked_at_s = -math.inf
        self._is_sure = False
        """Whether PostgreSQL answered when it was last asked."""
        self._wanted = asyncio.Event()
        self._next: asyncio.Future[bool] | None = None
        """For those who wait for the next read: whether it came about."""

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

    async def look_again(self) -> bool:
        """See the port. `run` does the reading."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._wanted.set()
        try:
            async with asyncio.timeout(LOOK_AGAIN_S_MAX):
                return await asyncio.shield(self._next)
        except TimeoutError:
            return False

    def channel(self, channel: ChannelId) -> Channel | None:
        return self._channels.get(channel)

    def platform(self) -> Channel | None:
        """SmarterOS's own number; None if no channel is it. Of several the one with the lowest id."""
        ours = [channel for channel in self._channels.values() if channel.platform]
        return min(ours, key=lambda channel: channel.id, default=None)

    def demo(self) -> Channel | None:
        """The number on which any firm's bot is tried out; None if no channel is it. Of several as `platform`."""
        numbers = [channel for channel in self._channels.values() if channel.demo]
        return min(numbers, key=lambda channel: channel.id, default=None)

    def firm(self, tenant: TenantId) -> Firm | None:
        return self._firms.get(tenant)

    def firms(self) -> Collection[Firm]:
        """All firms."""
        return self._firms.values()

    def token(self, channel: ChannelId) -> str:
        return self._tokens.get(channel, "")

    def channels(self) -> Iterable[Channel]:
        """All of them."""
        return self._channels.values()

    def channels_of(self, account: str) -> tuple[Channel, ...]:
        return self._by_account.get(account, ())

    def template(self, channel: ChannelId, name: str, locale: str) -> Template | None:
        known = self._channels.get(channel)
        if known is None:
            return None
        return self._templates.get((known.tenant, known.waba_id, name, locale))

    def is_held(self, channel: ChannelId) -> str:
        return next(iter(self._holds.get(channel, ())), "")

    def open_alerts(self) -> Mapping[str, int]:
        """How many of each kind are open, of all firms together."""
        return self._alerts

    def own_channels(self, tenant: TenantId) -> tuple[Channel, ...]:
        """The tenant's channels, in a fixed order."""
        return tuple(channel for channel in self._channels.values() if channel.tenant == tenant)

    async def key(self, key: KeyId) -> ApiKey | None:
        """An API key; one that this process does not know is looked for, the others ask nobody.

        Raises:
            DirectoryError: whether there is such a key cannot be told now.
        """
        if (found := self._keys.get(key)) is not None:
            return found
        if len(self._unknown_keys) >= UNKNOWN_MAX:
            raise DirectoryError("too many keys are shown that are not known here")
        self._unknown_keys.add(key)
        async with self._asking:
            if key in self._unknown_keys:  # nobody has asked for us since
                await self._look_for_keys()
        found = self._keys.get(key)
        if found is None and not self._is_sure:
            raise DirectoryError("the key is not known here, and PostgreSQL cannot be asked for it")
        return found

    async def _look_for_keys(self) -> None:
        """Learn of the keys that are wanted, all together, once in `ASK_S`."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0, self._asked_at_s + ASK_S - clock()))
        self._asked_at_s = clock()
        wanted, self._unknown_keys = self._unknown_keys, set()
        await self._adopt()
        missing = [key for key in wanted if key not in self._keys]
        try:
            if missing and await has_keys(self._database, missing) and await self._publish():
                await self._adopt()
        except UNAVAILABLE as error:
            log.warning("directory.keys_not_asked", error=type(error).__name__)
            self._is_sure = False
        else:
            self._is_sure = True

    def siblings(self, channel: Channel) -> list[Channel]:
        others = (
            other
            for other in self._channels.values()
            if (other.tenant, other.waba_id) == (channel.tenant, channel.waba_id)
        )
        return [channel, *(other for other in others if other.id != channel.id)]

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

    async def check(self) -> bool:
        """Take over what was published since, and look for the numbers that were asked for in vain.

        Answers whether the store told us what is published.
        """
        if self._unknown:
            self._asked |= self._unknown
            self._unknown.clear()
            await self._publish()
        return await self._adopt()

    async def run(self) -> NoReturn:
        """Check every `CHECK_S`, sooner for those who `look_again`; whatever fails is tried again at the next."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S - AGAIN_S):
                    await self._wanted.wait()
            # Who asks from here on, while it is being read, waits for the next one.
            waiting, self._next = self._next, None
            self._wanted.clear()
            found = False
            try:
                found = await self.check()
            except (DirectoryError, StoreError) as error:
                # We go on with what we have: it was right when it was loaded.
                log.error("directory.stale", error=str(error))
            if waiting is not None:
                waiting.set_result(found)
            await asyncio.sleep(AGAIN_S)

    async def _publish(self) -> bool:
        """Whether the store has what PostgreSQL has now."""
        try:
            await publish_directory(self._database, self._wire, self._box)
        except (*UNAVAILABLE, StoreLostError) as error:
            log.warning("directory.not_published", error=type(error).__name__)
            return False
        except asyncpg.SyntaxOrAccessError as error:
            # Class 42: the schema, a function or a right is missing.
            raise DirectoryError(
                f"the schema is not up to date, run `smarterbot migrate`: {error}"
            ) from error
        return True

    async def _adopt(self) -> bool:
        try:
            version = await self._read("version")
            if version is None:
                # The store was emptied: our own memory is as good as ever, and PostgreSQL better.
                await self._publish()
                version = await self._read("version")
            if version is None or version == self._version:
                return version is not None
            snapshot, pepper = await self._read("snapshot"), await self._read("pepper")
        except (StoreLostError, LaneError) as error:
            log.warning("directory.not_checked", error=type(error).__name__)
            return False
        if snapshot is None or pepper is None:
            return False
        try:
            self._pepper = _open_pepper(self._box, pepper)
        except SealError as error:
            raise DirectoryError(f"SMARTERBOT_KEYS: {error}") from error
        self._put(_decode(snapshot))
        self._version = version
        self._asked.clear()
        log.info("directory.loaded", firms=len(self._firms), channels=len(self._channels))
        return True

    async def _read(self, field: str) -> bytes | None:
        # A field of a hash is one string.
        return cast("bytes | None", await self._wire.call("HGET", KEY, field))

    def _put(self, snapshot: Snapshot) -> None:
        self._firms = {firm.id: firm for firm in snapshot.firms}
        self._channels = {channel.id: channel for channel in snapshot.channels}
        self._by_number = {channel.phone_number_id: channel for channel in snapshot.channels}
        self._keys = {key.id: key for key in snapshot.keys}
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
        by_account: dict[str, list[Channel]] = {}
        for channel in snapshot.channels:
            for account in {channel.waba_id, channel.portfolio_id} - {""}:
                by_account.setdefault(account, []).append(channel)
        self._by_account = {account: tuple(found) for account, found in by_account.items()}
        self._templates = {
            (account.tenant, account.waba_id, template.name, template.locale): template
            for account in snapshot.accounts
            for template in account.templates
        }
        self._holds = snapshot.holds
        self._alerts = snapshot.alerts

    def _opened(
        self, sealed: SealedChannel, unseal: Callable[[SecretBox, SealedChannel], str]
    ) -> str:
        try:
            return unseal(self._box, sealed)
        except SealError as error:
            # One firm's secret must not keep the others from working; its sends say that there is none.
            log.error("directory.secret_sealed", channel=sealed.channel.id, error=str(error))
            return ""


def _accounts(rows: Iterable[asyncpg.Record]) -> tuple[Account, ...]:
    found: dict[tuple[TenantId, str], list[Template]] = {}
    for row in rows:
        key = (TenantId(str(row["tenant_id"])), row["waba_id"])
        found.setdefault(key, []).append(template_of(row))
    return tuple(Account(*key, tuple(templates)) for key, templates in found.items())


def _seal_pepper(box: SecretBox, pepper: bytes) -> bytes:
    return box.seal(pepper.hex(), tenant="installation", field="pepper").encode()


def _open_pepper(box: SecretBox, sealed: bytes) -> bytes:
    return bytes.fromhex(box.open(sealed.decode(), tenant="installation", field="pepper"))
