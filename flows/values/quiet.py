"""Quiet hours: when nobody is written to without having asked."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

_SPAN: Final = re.compile(r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` to `end`, past midnight if it ends before it begins."""

    begin: time
    end: time

    def until(self, now: datetime) -> datetime | None:
        """When they end, if `now` (aware, in the firm's zone) is within them."""
        at = now.time()
        if self.begin < self.end:
            within = self.begin <= at < self.end
        else:
            within = at >= self.begin or at < self.end
        if not within:
            return None
        day = now.date() if at < self.end else now.date() + timedelta(days=1)
        return datetime.combine(day, self.end, now.tzinfo)

    def __str__(self) -> str:
        return f"{self.begin.hour}:{self.begin:%M}-{self.end.hour}:{self.end:%M}"


QUIET: Final = QuietHours(time(21), time(9))
"""Of a firm that has said nothing. Our choice: the day as people in Chile keep it."""


def parse_quiet(text: str) -> QuietHours:
    """Read `21:00-9:00`.

    Raises:
        ValueError: it is none, or all day.
    """
    found = _SPAN.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    except ValueError:
        raise ValueError("are not two times of day") from None
    if begin == end:
        raise ValueError("begin when they end")
    return QuietHours(begin, end)
