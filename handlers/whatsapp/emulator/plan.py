"""What a load is to be, and how it went: values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from handlers.whatsapp.emulator.mix import Kind, Words, usual_words
from handlers.whatsapp.emulator.tally import Count, Latency


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written, by how many, how fast."""

    people: int
    messages: int
    rate: float
    """Messages a second, of all people together."""
    parts: Mapping[Kind, int]
    """See `Mix`."""
    words: Words = field(default_factory=usual_words)
    ramp_s: float = 0.0
    """For so long the rate grows evenly from nothing."""
    wait_s: float = 30.0
    """How long no answer at all may come before what is open counts as lost."""
    quiet_s: float = 2.0
    """How long to listen after the last answer: one that comes twice would come now."""

    def due_s(self, n: int) -> float:
        """When the n-th message (from 0) is written, seconds from the start."""
        in_ramp = self.rate * self.ramp_s / 2
        if n < in_ramp:
            return math.sqrt(2 * self.ramp_s * n / self.rate)
        return self.ramp_s + (n - in_ramp) / self.rate


@dataclass(frozen=True, slots=True)
class Weather:
    """What goes wrong on the way: fields of `Faults`."""

    shares: Mapping[str, float]
    """Switches that are on now and then: share of all times, 0 to 1."""
    amounts: Mapping[str, int]


FAIR: Final = Weather({}, {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a load went."""

    count: Count
    wrote_s: float
    """From the first message to the last, in seconds."""
    took_s: float
    """From the first message to the last answer."""
    held_s: float
    """How long nobody wrote although it was time, because all waited for answers."""
    late_ms: Latency
    """How late messages were written though somebody was free: more than a few ms, and the loader has too little CPU."""
    faults: dict[str, int]
    """How often each switch of the weather was on."""
    broken_off: bool
    """Whether the answers that were still open were not waited for."""
