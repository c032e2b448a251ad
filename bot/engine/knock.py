"""The re-opening template: asks the person to tap, so that what waits for them can be said."""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date

from flows.dialog.content import Reply, Template
from flows.dialog.ctx import Firm

KNOCK: Final = "retomar_atencion"
"""Name of the template in each firm's account."""

LET_IN: Final = "knock:open"
DECLINED: Final = "knock:drop"
"""What its two buttons send."""

NAME_MAX: Final = 60
NOBODY: Final = "👋"
"""In place of the name of somebody who has none: a variable of a template may not be empty."""


def knock(firm: Firm, *, name: str, asked_at: int, locale: str) -> Template:
    """
    Args:
        firm: who answers.
        name: of the person.
        asked_at: when they last wrote, seconds since the epoch.
        locale: language of the conversation.
    """
    language = locale.partition("@")[0]
    day = datetime.fromtimestamp(asked_at, UTC).astimezone(ZoneInfo(firm.zone))
    return Template(
        KNOCK,
        language,
        variables=(
            ("nombre", _line(name) or NOBODY),
            ("negocio", _line(firm.name)),
            ("fecha", format_date(day, "long", locale=language)),
            ("persona", _line(firm.name)),
        ),
        buttons=(Reply(LET_IN), Reply(DECLINED)),
    )


def _line(words: str) -> str:
    return " ".join(words.split())[:NAME_MAX].strip()
