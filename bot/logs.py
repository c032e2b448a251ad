"""Logs are events with fields: JSON for machines, readable in development. Ids only, never people's data."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog

# A last net under the rule that nobody logs people's data: long digit runs and RUTs are blotted out of
# every value. Ids survive: they hold letters, or are named below.
_PERSONAL: Final = re.compile(
    r"(?<![\w.:-])\+?\d[\d ]{6,}\d(?![\w.-])"  # telephone numbers
    r"|(?<![\w-])\d{1,2}\.?\d{3}\.?\d{3}-[\dkK](?!\w)"  # RUT
    r"|[\w.+-]+@[\w-]+\.[\w.]+"  # e-mail
)
_KEPT: Final = frozenset({"timestamp", "phone_number_id", "waba_id"})


def setup_logs(form: Literal["json", "console"], level: str) -> None:
    """Route every log of the process, our own and the libraries', through one chain to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        blot_personal_data,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def blot_personal_data(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace what looks like a telephone, a RUT or an e-mail in any value by `[…]`."""
    for key, value in event.items():
        if key not in _KEPT and isinstance(value, str):
            event[key] = _PERSONAL.sub("[…]", value)
    return event
