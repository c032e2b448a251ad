"""What this room counts; implemented above."""

from typing import Protocol


class Meter(Protocol):
    def count(self, name: str, detail: str = "") -> None:
        """Count one event. Both words come from closed vocabularies: never an id, never a text."""
        ...
