"""What this room counts; implemented above."""

from typing import Protocol

from handlers import ports


class Meter(ports.Meter, Protocol):
    def answer(self, status: int, seconds: float) -> None:
        """One webhook was answered with this HTTP status, so many seconds after its headers had come."""
        ...
