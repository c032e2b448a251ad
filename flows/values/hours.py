"""Opening hours: read from what an owner types, asked about a moment.

A notation as people write it on the door: `lun-vie 9:00-18:00; sáb 10:00-14:00; dom cerrado`. Days that are not
named are closed. A span that ends before it begins runs past midnight. Public holidays are not known here.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final, Literal, NamedTuple

_DAY_MIN: Final = 24 * 60
_LOOK_AHEAD_DAYS: Final = 8
"""A week and the day that began it: what repeats weekly shows within."""

_SHORT: Final = ("lun", "mar", "mié", "jue", "vie", "sáb", "dom")
_DAYS: Final = {
    word: number
    for number, words in enumerate(
        (
            "lunes lun lu l monday mon",
            "martes mar ma tuesday tue",
            "miercoles mierc mie mi x wednesday wed",
            "jueves jue ju j thursday thu",
            "viernes vie vi v friday fri",
            "sabados sabado sab sa s saturday sat",
            "domingos domingo dom do d sunday sun",
        )
    )
    for word in words.split()
}
_GROUPS: Final = {
    "todos los dias": (0, 1, 2, 3, 4, 5, 6),
    "diario": (0, 1, 2, 3, 4, 5, 6),
    "every day": (0, 1, 2, 3, 4, 5, 6),
    "dias de semana": (0, 1, 2, 3, 4),
    "fin de semana": (5, 6),
    "fines de semana": (5, 6),
    "weekends": (5, 6),
}
_CLOSED: Final = ("cerrado", "cerrados", "cerramos", "no abrimos", "closed")
_ALL_DAY: Final = ("las 24 horas", "24 horas", "24 hrs", "24 h", "24/7", "24h")


def _words(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_TOKEN = re.compile(
    rf"""(?P<all>(?:{_words(_ALL_DAY)})\b)
    |(?P<group>(?:{_words(tuple(_GROUPS))})\b)
    |(?P<closed>(?:{_words(_CLOSED)})\b)
    |(?P<day>(?:{_words(tuple(_DAYS))})\b\.?)
    |(?P<time>(?P<hour>\d{{1,2}})(?:[:.](?P<minute>\d\d))?(?!\d)\s*(?:hrs|horas|hr|hs|h)?(?:\s*(?P<half>[ap])\.?\s?m\b)?\b\.?)
    |(?P<to>-|\ba\b|\bal\b|\bhasta\b|\bto\b)
    |(?P<and>,|\by\b|/|&|\band\b)
    |(?P<gap>[\s;:.()]+|\bde\b|\bdesde\b|\blas?\b|\blos?\b|\bel\b|\babierto\b|\babrimos\b|\bfrom\b)
    """,
    re.VERBOSE,
)


HoursWhy = Literal["word", "hour", "no_day", "day_twice", "no_hours", "no_end", "overlap"]
"""What does not fit, for whoever says it in another language than this file's."""


class HoursError(ValueError):
    """A text that is no opening hours. `part` is the piece of it that does not fit."""

    def __init__(self, part: str, why: HoursWhy, problem: str) -> None:
        super().__init__(f"«{part}»: {problem}")
        self.part = part
        self.why = why


class Span(NamedTuple):
    """Minutes since midnight; `end` passes 1440 when it closes after midnight."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{_clock(self.start)}-{_clock(self.end)}"


class Opening(NamedTuple):
    """One stretch of being open, in the zone of the moment that was asked about."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class OpeningHours:
    week: tuple[tuple[Span, ...], ...]
    """Seven days from Monday; a closed one is empty."""

    def __str__(self) -> str:
        """The notation that `parse_hours` reads, equal days joined."""
        parts: list[str] = []
        for first, last, spans in self.groups():
            days = _SHORT[first] if first == last else f"{_SHORT[first]}-{_SHORT[last]}"
            parts.append(f"{days} {', '.join(map(str, spans)) or 'cerrado'}")
        return "; ".join(parts)

    def groups(self) -> Iterator[tuple[int, int, tuple[Span, ...]]]:
        """(first day, last day, what is open) of days in a row that are alike; Monday is 0."""
        first = 0
        for day in range(1, 8):
            if day == 7 or self.week[day] != self.week[first]:
                yield first, day - 1, self.week[first]
                first = day

    def on(self, day: date, *, like: datetime) -> tuple[Opening, ...]:
        """What opens on `day`, on the wall clock of `like`'s zone."""
        midnight = datetime.combine(day, time(), tzinfo=like.tzinfo)
        return tuple(
            # Wall-clock arithmetic on purpose: on the days the clock changes, shops open at nine all the same.
            Opening(
                midnight + timedelta(minutes=span.start), midnight + timedelta(minutes=span.end)
            )
            for span in self.week[day.weekday()]
        )

    def is_open(self, now: datetime) -> bool:
        """`now` is aware, in the firm's zone. Open at the opening minute, closed at the closing one."""
        return any(opening.start <= now < opening.end for opening in self._around(now))

    def closes_at(self, now: datetime) -> datetime | None:
        """When the stretch that holds `now` ends; None if it is closed, or never closes."""
        end: datetime | None = None
        for opening in self._around(now):
            if end is None:
                if opening.start <= now < opening.end:
                    end = opening.end
            elif opening.start <= end:
                end = max(end, opening.end)
            else:
                break
        if end is None or end > now + timedelta(days=_LOOK_AHEAD_DAYS - 1):
            return None
        return end

    def next_opening(self, now: datetime) -> Opening | None:
        """The first stretch that begins after `now`; None if there is none."""
        return next((opening for opening in self._around(now) if opening.start > now), None)

    def _around(self, now: datetime) -> Iterator[Opening]:
        for offset in range(-1, _LOOK_AHEAD_DAYS + 1):
            yield from self.on(now.date() + timedelta(days=offset), like=now)


def parse_hours(text: str) -> OpeningHours:
    """Read opening hours from what an owner types.

    Raises:
        HoursError: a part does not fit; it names the part.
    """
    return _Reader(text).read()


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Reader:
    """Reads `days, then spans or "closed"`, over and over."""

    def __init__(self, text: str) -> None:
        flat = (
            unicodedata.normalize("NFKD", text)
            .lower()
            .translate(dict.fromkeys(map(ord, "–—−‐"), "-"))
        )
        self.text = "".join(sign for sign in flat if not unicodedata.combining(sign)).replace(
            "\n", ";"
        )
        self.tokens = self._tokens()
        self.place = 0
        self.begun = 0
        self.week: list[tuple[Span, ...] | None] = [None] * 7

    def read(self) -> OpeningHours:
        while self._next_part():
            self.begun = self.tokens[self.place].at
            days = self._days()
            spans = self._spans()
            for day in days:
                if self.week[day] is not None:
                    raise self._error("day_twice", f"names {_SHORT[day]} twice")
                self.week[day] = spans
        if all(spans is None for spans in self.week):
            raise HoursError(self.text.strip(), "no_day", "names no day, as in lun-vie 9:00-18:00")
        return OpeningHours(tuple(spans or () for spans in self.week))

    def _next_part(self) -> bool:
        while self._peek() == "and":
            self._take()
        return self.place < len(self.tokens)

    def _tokens(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                piece = re.split(r"[;,\s]", self.text[at:])[0] or self.text[at]
                raise HoursError(piece, "word", "is neither a day nor an hour")
            kind = found.lastgroup or ""
            if kind != "gap":
                tokens.append(_Token(kind, found[0].strip(), at))
            at = found.end()
        return tokens

    def _peek(self, ahead: int = 0) -> str:
        place = self.place + ahead
        return self.tokens[place].kind if place < len(self.tokens) else ""

    def _take(self) -> _Token:
        self.place += 1
        return self.tokens[self.place - 1]

    def _error(self, why: HoursWhy, problem: str) -> HoursError:
        end = self.tokens[self.place].at if self.place < len(self.tokens) else len(self.text)
        part = self.text[self.begun : end].strip(" ;,.")
        return HoursError(part or self.text[self.begun :].strip(), why, problem)

    def _days(self) -> tuple[int, ...]:
        if self._peek() == "all":
            return (0, 1, 2, 3, 4, 5, 6)
        days: list[int] = []
        while self._peek() in ("day", "group"):
            token = self._take()
            if token.kind == "group":
                days += _GROUPS[token.text]
            else:
                days += self._range(_DAYS[token.text.rstrip(".")])
            if self._peek() == "and" and self._peek(1) in ("day", "group"):
                self._take()
        if not days:
            self._take()
            raise self._error("no_day", "has no day before it, as in lun-vie 9:00-18:00")
        return tuple(days)

    def _range(self, first: int) -> tuple[int, ...]:
        if self._peek() == "to" and self._peek(1) == "day":
            self._take()
            last = _DAYS[self._take().text.rstrip(".")]
            return tuple((first + step) % 7 for step in range((last - first) % 7 + 1))
        return (first,)

    def _spans(self) -> tuple[Span, ...]:
        if self._peek() == "closed":
            self._take()
            return ()
        if self._peek() == "all":
            self._take()
            return (Span(0, _DAY_MIN),)
        spans: list[Span] = []
        while self._peek() == "time":
            spans.append(self._span())
            if self._peek() == "and" and self._peek(1) == "time":
                self._take()
        if not spans:
            raise self._error("no_hours", "says neither hours nor «cerrado»")
        spans.sort()
        if any(one.end > other.start for one, other in pairwise(spans)):
            raise self._error("overlap", "has hours that overlap")
        return tuple(spans)

    def _span(self) -> Span:
        start = self._minutes(self._take())
        if self._peek() != "to" or self._peek(1) != "time":
            raise self._error("no_end", "lacks the hour it closes at")
        self._take()
        end = self._minutes(self._take())
        if end <= start:
            # "9 a 6" is a morning and an evening; "20 a 2" a night.
            end += (
                _DAY_MIN // 2 if start < _DAY_MIN // 2 and end + _DAY_MIN // 2 > start else _DAY_MIN
            )
        return Span(start, end)

    def _minutes(self, token: _Token) -> int:
        found = _TOKEN.match(self.text, token.at)
        assert found is not None, "the token was matched before"
        hour, minute = int(found["hour"]), int(found["minute"] or 0)
        if found["half"]:
            if not 1 <= hour <= 12:
                raise self._error("hour", f"{token.text} is no hour")
            hour = hour % 12 + (12 if found["half"] == "p" else 0)
        if hour > 24 or minute > 59 or (hour == 24 and minute):
            raise self._error("hour", f"{token.text} is no hour")
        return hour * 60 + minute


def _clock(minutes: int) -> str:
    hour, minute = divmod(minutes if minutes <= _DAY_MIN else minutes - _DAY_MIN, 60)
    return f"{hour}:{minute:02}"
