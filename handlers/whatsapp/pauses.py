"""Numbers that rest because Meta, or the way to Meta, refuses all that they send.

When a rest ends, one message goes ahead as a probe; the others follow once Meta has taken it.
"""

from dataclasses import dataclass
from typing import Final

REST_MS_MAX: Final = 15 * 60_000
DOUBLINGS_MAX: Final = 4  # a rest of 1 s grows to 16 s, one of a minute to REST_MS_MAX
LOOK_MS_MAX: Final = 60_000  # a waiting lane looks again this often: the cause may have been mended
PROBE_MS: Final = (
    20_000  # a probe that has told nothing after this has failed; longer than a request may last
)
PROBE_LOOK_MS: Final = 2_000  # its answer is expected soon


@dataclass(slots=True)
class _Pause:
    token: str
    """The Graph token in use: another one ends the pause."""
    until_ms: int
    since_ms: int = 0
    rests: int = 1
    probing: bool = False


class Pauses:
    """Shared by all lanes of this process; every replica learns for itself."""

    def __init__(self) -> None:
        self._pauses: dict[str, _Pause] = {}

    def wait_ms(self, number: str, token: str, *, now_ms: int) -> int:
        """How long a message of `number` waits before it looks again; 0 = it may go, perhaps as the probe."""
        pause = self._pauses.get(number)
        if pause is None:
            return 0
        if pause.token != token or now_ms < pause.since_ms:
            # Another token may be let in; and if the clock was set back, nobody knows how long it still rests.
            del self._pauses[number]
            return 0
        if now_ms >= pause.until_ms:
            pause.probing = True
            pause.until_ms = now_ms + PROBE_MS
            return 0
        return min(pause.until_ms - now_ms, PROBE_LOOK_MS if pause.probing else LOOK_MS_MAX)

    def begin(
        self, number: str, token: str, *, now_ms: int, rest_ms: int, least_ms: int = 0
    ) -> int:
        """Meta refuses the number: it rests. Answers for how many ms, 0 if it rests already, as long.

        Each probe that fails doubles `rest_ms`; `least_ms` is what Meta itself asked for.
        """
        pause = self._pauses.get(number)
        if pause is None or pause.token != token:
            pause = self._pauses[number] = _Pause(token=token, until_ms=0)
        elif pause.probing or now_ms >= pause.until_ms:
            pause.rests += 1
            pause.probing = False
        elif max(rest_ms, least_ms) <= pause.until_ms - pause.since_ms:
            # Requests that were under way together fail together: that is one failure, and the longest rest counts.
            return 0
        rest = min(rest_ms << min(pause.rests - 1, DOUBLINGS_MAX), REST_MS_MAX)
        pause.since_ms = now_ms
        pause.until_ms = now_ms + max(rest, least_ms)
        return pause.until_ms - now_ms

    def give_back(self, number: str, *, now_ms: int) -> None:
        """Whoever was let through did not go after all: the next may be the probe."""
        pause = self._pauses.get(number)
        if pause is not None and pause.probing:
            pause.probing = False
            pause.until_ms = now_ms

    def end(self, number: str) -> None:
        """Meta took or judged a message of `number`: a probe that comes back so ends the pause."""
        pause = self._pauses.get(number)
        if pause is not None and pause.probing:
            del self._pauses[number]
