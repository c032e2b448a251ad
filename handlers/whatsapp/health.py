"""How a WhatsApp number stands with Meta."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

# Our words for why nothing may be sent. The worst first: the first one is what is told.
HOLDS: Final = (
    "account_deleted",
    "account_disabled",
    "account_locked",
    "account_restricted",
    "app_removed",
    "token",
    "permission",
    "number_setup",
    "payment",
    "health_blocked",
)


class Health(Struct, frozen=True, omit_defaults=True):
    """One channel, as we heard last."""

    holds: tuple[str, ...] = ()
    """Why nothing may be sent, words of `HOLDS` in its order. Each is lifted by what shows the opposite."""
    limits: tuple[str, ...] = ()
    """Why nothing may be sent on our own initiative, though answers go out."""
    quality: str = ""
    """GREEN, YELLOW, RED or UNKNOWN; empty: not heard of yet."""
    tier: str = ""
    """Meta's messaging limit, e.g. TIER_2K: people that the portfolio may write to first within 24 hours."""
    name_status: str = ""
    """Of the display name, e.g. APPROVED, DECLINED."""
    token_kind: str = ""
    """SYSTEM_USER, USER …"""
    token_expires_at: int = 0
    """ms since the epoch; 0: never, or not known."""
    checked_at: int = 0
    """When Meta was last asked, ms since the epoch."""

    def held(self, *reasons: str) -> "Health":
        """With these reasons too."""
        found = {*self.holds, *reasons}
        return replace(self, holds=tuple(word for word in HOLDS if word in found))

    def lifted(self, *reasons: str) -> "Health":
        """Without these reasons."""
        return replace(self, holds=tuple(word for word in self.holds if word not in reasons))

    def limited(self, *reasons: str) -> "Health":
        return replace(self, limits=tuple(sorted({*self.limits, *reasons})))

    def unlimited(self, *reasons: str) -> "Health":
        return replace(self, limits=tuple(word for word in self.limits if word not in reasons))
