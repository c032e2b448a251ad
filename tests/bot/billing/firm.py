"""A firm with a budget, as the tests of money know it."""

from bot.billing.terms import Month
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId

TENANT = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")
CHANNEL = ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")
OTHER_CHANNEL = ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7d")
ZONE = "America/Santiago"
NOVEMBER = Month.of(2026, 11, ZONE)
NOON_MS = 1_795_186_800_000
"""20 November 2026, noon in Chile."""


def firm(**settings: str) -> Firm:
    return Firm(id=TENANT, name="Panadería Sol", zone=ZONE, settings=settings)
