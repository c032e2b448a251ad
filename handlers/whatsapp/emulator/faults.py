"""The faults that can be switched on, for each number."""

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import msgspec
from msgspec import Struct

from handlers.whatsapp.emulator.world import NumberId

ALWAYS: Final = -1
"""A switch that stays on until it is switched off."""


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong at one number.

    A *switch* counts: 0 is off, n the next n times, -1 (`ALWAYS`) until it is switched off.
    An *amount* (`*_ms`, `batch`, `reorder`, `refuse_with`, `fail_with`) holds until it is set to 0.
    """

    # webhooks
    duplicate: int = 0
    """Switch: the same bytes are posted twice at the same moment."""
    rebatch: int = 0
    """Switch: an acknowledged message comes again in another body, batched with the one before it."""
    lose_first: int = 0
    """Switch: the first attempt never arrives; the first repetition does."""
    lose_statuses: int = 0
    """Switch: a status is never posted."""
    statuses_first: int = 0
    """Switch: the statuses of a send arrive before its answer."""
    overtaken: int = 0
    """Switch: a webhook is held for a moment, so that those behind it arrive first."""
    reorder: int = 0
    """Amount: this many updates are held and then posted last first, each in a webhook of its own."""
    batch: int = 0
    """Amount: up to this many updates share a webhook."""
    delay_ms: int = 0
    """Amount: each webhook waits so long before it is first posted."""

    price_at_read: int = 0
    """Amount: other than 0, the price comes with `sent` and `read`, and not with `delivered`."""
    no_billable: int = 0
    """Amount: other than 0, prices leave out `billable`, as Meta will."""

    # Graph
    reset: int = 0
    """Switch: a send is taken, and the connection reset instead of an answer."""
    http_500: int = 0
    """Switch: 500 with Meta's error 131000; nothing is taken."""
    http_502: int = 0
    """Switch: 502 with an HTML page; nothing is taken."""
    pair_limit: int = 0
    """Switch: 131056, whatever the pair's real rate."""
    throughput: int = 0
    """Switch: 130429, whatever the number's real rate."""
    token_expired: int = 0
    """Switch: 401 with error 190."""
    template_paused: int = 0
    """Switch: every template answers 132015."""
    pacing_ms: int = 0
    """Amount: templates are held back for so long until people have judged the first ones; with `fail_with` 132015 they
    are dropped then."""
    form_blocked: int = 0
    """Switch: a message that opens a form answers 132068."""
    form_throttled: int = 0
    """Switch: a message that opens a form answers 132069."""
    window_error: int = 0
    """Switch: a closed window answers 131047 at once, instead of taking the message and failing it by status."""
    refuse_with: int = 0
    """Amount: this error code (131031, 131048 …) is the answer to each send; nothing is taken."""
    fail_with: int = 0
    """Amount: this error code (131026, 131049 …) fails each message by status after it was taken."""
    slow_ms: int = 0
    """Amount: each Graph answer waits so long."""

    # files
    media_gone: int = 0
    """Switch: a media id is not known, as after its seven days."""
    media_url_dead: int = 0
    """Switch: a download URL answers 404, as after its five minutes."""
    media_inside: int = 0
    """Switch: the download URL points at the metadata service of a cloud."""
    media_redirect: int = 0
    """Switch: the download URL redirects there."""
    media_damaged: int = 0
    """Switch: one bit of the file is not what its digest says."""
    media_swapped: int = 0
    """Switch: a Windows program comes in place of the file."""
    media_endless: int = 0
    """Switch: the file does not end."""
    media_slow_ms: int = 0
    """Amount: each download waits so long."""
    upload_refused: int = 0
    """Switch: an upload answers 131053."""


class Board:
    """The faults of all numbers. `on_change` is told of each change, a counted switch that is used up among them."""

    def __init__(self, on_change: Callable[[NumberId, Faults], None] | None = None) -> None:
        self._faults: dict[NumberId, Faults] = {}
        self._shares: dict[tuple[NumberId, str], float] = {}
        self._dice = Random()  # noqa: S311 - no secret hangs on it
        self.happened: Counter[str] = Counter()
        """How often switches were on that are on now and then."""
        self._on_change = on_change

    def of(self, number: NumberId) -> Faults:
        return self._faults.get(number, _NONE)

    def change(self, number: NumberId, changes: dict[str, int]) -> Faults:
        """Set the named faults and leave the others.

        Raises:
            msgspec.ValidationError: there is no such fault, or its value is no whole number.
        """
        faults = msgspec.convert(msgspec.to_builtins(self.of(number)) | changes, type=Faults)
        self._faults[number] = faults
        if self._on_change is not None:
            self._on_change(number, faults)
        return faults

    def happen(self, number: NumberId, shares: Mapping[str, float], *, seed: int) -> None:
        """Let each of these switches be on now and then: for its share (0 to 1) of all times that it is asked for."""
        self._dice = Random(seed)  # noqa: S311 - no secret hangs on it
        self._shares.update({(number, switch): share for switch, share in shares.items()})

    def take(self, number: NumberId, switch: str) -> bool:
        """Whether the switch is on; a counted one is used up by asking."""
        left: int = getattr(self.of(number), switch)
        if left > 0:
            self.change(number, {switch: left - 1})
        if left == 0 and (share := self._shares.get((number, switch))):
            happens = self._dice.random() < share
            self.happened[switch] += happens
            return happens
        return left != 0

    def clear(self) -> None:
        self._faults.clear()
        self._shares.clear()
        self.happened.clear()


_NONE: Final = Faults()
