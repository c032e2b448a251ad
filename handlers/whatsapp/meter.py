"""What this room counts; implemented above."""

from typing import Protocol


class Meter(Protocol):
    def answer(self, status: int, seconds: float) -> None:
        """One webhook was answered with this HTTP status, so many seconds after its headers had come."""
        ...

    def count(self, name: str, detail: str = "") -> None:
        """Count one event. Both words come from closed vocabularies: never an id, never a text."""
        ...
