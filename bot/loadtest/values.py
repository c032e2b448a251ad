"""What a load test is given, and what it says."""

from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Struct

from handlers.whatsapp.emulator.tally import Count
from handlers.whatsapp.emulator.world import Number

HOST: Final = "127.0.0.1"
"""Where we listen, and where our own server does: nobody else's business."""


class LoadTestError(Exception):
    """The load cannot begin. The message says what is wrong, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The deployment under test."""

    callback_url: str
    app_secret: str
    number: Number
    graph_port: int
    """Where it expects Meta, on this machine."""
    pid: int | None = None
    """Of its process, when it is a server of our own."""


class Watch(Protocol):
    """Is told now and then how it stands."""

    def __call__(self, counts: Count, *, stopping: bool) -> None:
        """`stopping`: nothing more is written."""
        ...


class Result(Struct, frozen=True, kw_only=True):
    """What a load test says. JSON of `smarterbot loadtest --json`."""

    ok: bool
    problems: list[str]
    """Why it is not ok."""
    notes: list[str]
    """What else somebody should know who reads the figures."""
    seed: int
    planned: int
    people: int
    rate: float
    """Messages a second that were asked for."""
    sent_per_s: float
    replies_per_s: float
    wrote_s: float
    """From the first message to the last."""
    took_s: float
    """From the first message to the last answer."""
    held_s: float
    """How long everybody waited for an answer while it was time to write."""
    faults: dict[str, int]
    """How often each of the emulator's faults happened, of those that happen now and then."""
    loader_cpu: float
    """Share of one core that the loader itself used."""
    loader_late_ms: float
    """How late the loader wrote, 99th percentile: it was short of CPU if this is more than a few ms."""
    server_cpu: float | None
    """The same of the server, when it is our own; its stores are other processes."""
    counts: Count
