"""All time comes from here, so that it can be moved instead of waited for."""

import time


class Clock:
    """Wall-clock time plus a shift. Only the emulator and tests shift it."""

    def __init__(self, shift_ms: int = 0) -> None:
        self.shift_ms = shift_ms

    def now_ms(self) -> int:
        """ms since the epoch."""
        return time.time_ns() // 1_000_000 + self.shift_ms
