"""What applying a template changes in a firm's settings, and what it leaves to the owner. Pure: the caller writes.

The record `marketplace` in the settings says what was applied, and each value that it wrote. A setting that is no longer
as it was written, or was there before, is the owner's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from msgspec import Struct

from flows.dialog.ctx import Firm
from flows.marketplace.market import Template

RECORD: Final = "marketplace"
"""The key of the settings; no owner's command sets it."""

Step = Literal["set", "change", "unset", "same", "kept"]


class ApplyError(ValueError):
    """The template cannot be applied to this firm. The text says how to mend it."""


class Applied(Struct, frozen=True):
    """What a firm has."""

    template: str
    version: int
    wrote: dict[str, str]
    """Values that it gave to settings, by key."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting."""

    key: str
    now: str
    """Empty: not set; so is `then`."""
    then: str
    """What the template wants."""
    step: Step
    """`kept`: the owner's, and left as it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    changes: tuple[Change, ...]
    writes: Mapping[str, str]
    """Settings to change, the record among them; empty values unset."""


def applied_to(settings: Mapping[str, str]) -> Applied | None:
    """What a firm has of the marketplace; None if nothing.

    Raises:
        ApplyError: its record cannot be read.
    """
    record = settings.get(RECORD)
    if record is None:
        return None
    try:
        return msgspec.json.decode(record, type=Applied)
    except msgspec.MsgspecError as error:
        raise ApplyError(
            f"{RECORD}: the record of what was applied cannot be read, --force writes it anew: {error}"
        ) from error


def plan_template(id: str, template: Template, firm: Firm, *, force: bool = False) -> Plan:
    """Compare a firm with a template.

    Args:
        force: what the owner set is changed too.

    Raises:
        ApplyError: the firm has a newer version, or its record cannot be read.
    """
    try:
        past = applied_to(firm.settings)
    except ApplyError:
        if not force:
            raise
        past = None
    if past is not None and past.template == id and past.version > template.version:
        raise ApplyError(
            f"version: {id} is {template.version} here and {past.version} was applied; update this program"
        )
    wrote = past.wrote if past is not None else {}
    wanted = template.settings(firm.locale)
    changes: list[Change] = []
    record: dict[str, str] = {}
    for key in sorted({*wanted, *wrote}):
        now, then = firm.settings.get(key, ""), wanted.get(key, "")
        step = _step(now, then, ours=now == wrote.get(key, ""), force=force)
        changes.append(Change(key, now, then, step))
        if then and (force or step in ("set", "change")):
            record[key] = then
        elif then and key in wrote:
            record[key] = wrote[key]
    writes = {c.key: c.then for c in changes if c.step in ("set", "change", "unset")}
    told = Applied(id, template.version, record)
    if told != past:
        writes[RECORD] = msgspec.json.encode(told, order="sorted").decode()
    return Plan(tuple(changes), writes)


def _step(now: str, then: str, *, ours: bool, force: bool) -> Step:
    if now == then:
        return "same"
    if not (ours or force):
        return "kept"
    if not now:
        return "set"
    return "change" if then else "unset"
