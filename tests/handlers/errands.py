"""Stand-ins for what rooms without conversations are given, with behaviour of their own."""

from collections import Counter

from flows.values.ids import ChannelId, TenantId
from handlers.ports import StoreDownError

NOW_MS = 1_764_300_000_000


class Errands:
    """Keeps each item once, and in order."""

    def __init__(self) -> None:
        self.items: list[tuple[str, str, bytes]] = []
        """(kind, about, body)"""
        self.seen: set[tuple[str, str, int]] = set()
        self.down = False

    async def put(self, kind: str, about: str, body: bytes, *, mark: str, day: int = 0) -> bool:
        if self.down:
            raise StoreDownError("down")
        if (about, mark, day) in self.seen:
            return False
        self.seen.add((about, mark, day))
        self.items.append((kind, about, body))
        return True


class Counts:
    def __init__(self) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()

    def count(self, name: str, detail: str = "") -> None:
        self.counted[name, detail] += 1


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self, ms: int = NOW_MS) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms

    @property
    def s(self) -> int:
        return self.ms // 1000


class Alarm:
    """Alerts, each kept once."""

    def __init__(self) -> None:
        self.open: set[tuple[str, str]] = set()
        """(kind, about)"""
        self.down = False

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        if self.down:
            raise StoreDownError("down")
        self.open.add((kind, about))


class Bucket:
    """Limits that say what they are told."""

    def __init__(self) -> None:
        self.wait_ms = 0

    async def take(self, name: str, *, per_s: float, burst: int) -> int:
        return self.wait_ms
