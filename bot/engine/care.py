"""Care: what befalls accounts and numbers, into lanes of its own; and the round in which every number is examined."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, NoReturn
from zlib import crc32

import structlog
from msgspec.json import Encoder

from bot.clock import Clock
from bot.engine.rota import Rota
from bot.lanes import Bell, LaneError, Lanes, StoreLostError
from bot.people.directory import Directory
from flows.values.ids import ChannelId, TenantId
from handlers.care import Alert, CareItem, Change, Examine, Recovered, Trouble
from handlers.ports import Channel, StoreDownError
from handlers.whatsapp.changes import channels_meant

KIND: Final = "care"
DAY_S: Final = 86_400
SAME_MS: Final = 60_000  # the same trouble is kept once in so long
TICK_S: Final = 20.0
ROUND_MS: Final = (
    6 * 3_600_000
)  # ours: templates and numbers tell of themselves; this finds what was missed
HELD_ROUND_MS: Final = 5 * 60_000  # a number that cannot send is looked at often: it may be mended
RECENT_MAX: Final = 10_000

log = structlog.get_logger()

_encode: Final = Encoder().encode


class LaneCare:
    """Implements `handlers.ports.Care` and `handlers.ports.Alerts` over the lanes."""

    def __init__(self, lanes: Lanes, bell: Bell, directory: Directory, *, clock: Clock) -> None:
        self._lanes = lanes
        self._bell = bell
        self._directory = directory
        self._clock = clock
        self._recent: dict[str, int] = {}
        """Marks of what we have kept lately, and the slot of time it was in: no question to the store."""

    async def hear(self, changes: Sequence[Change]) -> None:
        """See `handlers.ports.Care`. A change is known by its digest: Meta gives it no id. One that is nobody's is none."""
        await asyncio.gather(*(self._change(change) for change in changes))

    async def trouble(self, channel: ChannelId, fault: str, code: int) -> None:
        now = self._clock.now_ms()
        item = Trouble(channel=channel, fault=fault, at=now, code=code)
        await self._once(self._key(channel), item, f"{fault}!{code}!{channel}", now // SAME_MS)

    async def recovered(self, channel: ChannelId) -> None:
        now = self._clock.now_ms()
        item = Recovered(channel=channel, at=now)
        await self._once(self._key(channel), item, f"recovered!{channel}", now // SAME_MS)

    async def examine(self, channel: Channel) -> None:
        await self._put(channel.phone_number_id, Examine(channel.id, self._clock.now_ms()))

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        now = self._clock.now_ms()
        item = Alert(tenant=tenant, channel=channel, kind=kind, about=about, at=now)
        await self._once(tenant, item, f"alert!{tenant}!{channel}!{kind}!{about}", now // SAME_MS)

    # -------------------------------------------------------------- the round

    async def run(self, rota: Rota, jitter: Callable[[], float]) -> NoReturn:
        """Until cancelled: let every number be examined when its turn has come."""
        while True:
            try:
                if await rota.take():
                    await self._round()
                    rota.pass_on(after_s=TICK_S / 2)
            except (StoreLostError, StoreDownError) as lost:
                log.warning("care.round_missed", error=type(lost).__name__)
            await self._clock.sleep(TICK_S * (0.75 + jitter() / 2))

    async def _round(self) -> None:
        now = self._clock.now_ms()
        for channel in self._directory.channels():
            if not self._directory.token(channel.id):
                continue
            every = HELD_ROUND_MS if self._directory.is_held(channel.id) else ROUND_MS
            # Each has a moment of its own, so that Meta is not asked about all of them at once.
            turn = (now + crc32(channel.id.encode()) % every) // every
            item = Examine(channel.id, now, round=True)
            await self._once(channel.phone_number_id, item, f"round!{channel.id}!{every}", turn)

    # -------------------------------------------------------------- into the lanes

    def _key(self, channel: ChannelId) -> str:
        known = self._directory.channel(channel)
        return channel if known is None else known.phone_number_id

    async def _change(self, change: Change) -> None:
        meant = channels_meant(self._directory, change)
        if not meant:
            return
        told = f"{change.account} {change.field} {change.at} ".encode() + bytes(change.value)
        # Without a time of Meta's the same words may be news again.
        mark = blake2b(told, digest_size=16).hexdigest() if change.at else ""
        await self._put(meant[0].waba_id, change, mark=mark, day=change.at // DAY_S)

    async def _once(self, key: str, item: CareItem, mark: str, slot: int) -> None:
        """Keep it once in each slot of time; a process asks the store about each once."""
        if self._recent.get(mark) == slot:
            return
        await self._put(key, item, mark=f"{mark}!{slot}", day=self._clock.now_ms() // 1000 // DAY_S)
        if len(self._recent) >= RECENT_MAX:
            self._recent.clear()
        self._recent[mark] = slot

    async def _put(self, key: str, item: CareItem, *, mark: str = "", day: int = 0) -> None:
        shard = self._lanes.shard(key)
        try:
            await self._lanes.put(shard, f"{KIND}/{key}", _encode(item), mark=mark, day=day)
        except (StoreLostError, LaneError) as lost:
            raise StoreDownError("the lanes cannot take anything now") from lost
        self._bell.ring(shard, KIND)
