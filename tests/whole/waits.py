"""Waits short enough to test with: statuses of the emulator come within a second, so no promise depends on them."""

from typing import Final

from bot.app import Waits

SHORT: Final = Waits(lease_ms=3_000, reset_doubt_ms=4_000, outage_doubt_ms=6_000)
