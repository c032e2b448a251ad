"""What this room writes down about accounts and numbers; implemented above, over PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from flows.values.ids import ChannelId, TenantId
from handlers.ports import Channel, Template
from handlers.whatsapp.health import Health


class BookDownError(Exception):
    """It cannot be written down now; nothing was, and it may be tried again."""


class CareBook(Protocol):
    """Every method raises BookDownError; each may be repeated."""

    async def change_template(
        self, channel: Channel, key: tuple[str, str], news: Mapping[str, str], *, at: int
    ) -> tuple[Template | None, Template | None]:
        """What Meta said of one template (name, locale) of the channel's WABA; answers before and after.

        `news` are new values of `status`, `category`, `quality`; what was said later already stays. `at`: ms.
        """
        ...

    async def replace_templates(
        self, channel: Channel, found: Sequence[Template], *, as_of: int
    ) -> list[tuple[Template | None, Template | None]]:
        """All templates of the channel's WABA as Meta listed them; answers before and after of what has changed."""
        ...

    async def change_health(
        self, channel: Channel, change: Callable[[Health], Health], *, at: int
    ) -> tuple[Health, Health]:
        """How the channel stands; answers before and after."""
        ...

    async def set_throughput(self, channel: Channel, per_s: int) -> None: ...

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
        """Answers whether it was not open before."""
        ...

    async def settle(
        self,
        tenant: TenantId,
        channel: ChannelId | None,
        kinds: Sequence[str],
        about: str | None = None,
        *,
        at: int,
    ) -> None:
        """Close alerts that have mended themselves; `about` None: whatever they are about."""
        ...

    async def publish(self) -> None:
        """Let every process know: at once here, within seconds elsewhere."""
        ...
