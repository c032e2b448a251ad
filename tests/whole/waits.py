"""Waits short enough to test with: statuses of the emulator come within a second, so no promise depends on them."""

from typing import Final

from bot.app import Waits

SHORT: Final = Waits(lease_ms=3_000, reset_doubt_ms=4_000, outage_doubt_ms=6_000)
BRISK: Final = Waits(lease_ms=1_500, reset_doubt_ms=2_000, outage_doubt_ms=4_000)
"""For trials by the hundred, where Meta repeats a webhook after at most 300 ms."""
