"""Reads what Meta says of accounts and numbers: every webhook field other than `messages`.

Nothing is assumed of any value. What cannot be read becomes `Ask`: then Meta is asked how things stand, so nothing is
lost by it. Words that go into alerts are plain ones; no name, phone or address passes.

Source: Meta, "Webhooks > fields" of WhatsApp Business Accounts (v26.0).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from handlers.care import Change
from handlers.ports import Channel, Directory
from handlers.whatsapp.throughput import UPGRADED

_WORD: Final = re.compile(r"[A-Za-z0-9_]{1,100}")
_NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z]{2,4})?")
_ID: Final = re.compile(r"[0-9]{1,32}")

_Object = Mapping[str, object]


class TemplateNews(Struct, frozen=True, tag=True, omit_defaults=True):
    """Something has become of a template."""

    name: str
    locale: str
    news: dict[str, str] = {}
    """New values of `status`, `category`, `quality`."""
    alert: str = ""
    """Kind of the alert, if it is bad news."""
    detail: str = ""
    """Meta's words for why."""
    over: tuple[str, ...] = ()
    """Kinds of alerts about it that this ends."""
    asks: bool = False
    """Whether it has changed in more than the webhook tells."""


class NumberNews(Struct, frozen=True, tag=True, omit_defaults=True):
    """Something has become of a number."""

    phone: str = ""
    """Digits of the number as people read it; empty: of every number of the account."""
    facts: dict[str, str] = {}
    """New values of `quality`, `tier`, `name_status`."""
    per_s: int = 0
    """New throughput; 0: as before."""
    # What is not told here (the quality itself, the throughput of a new number) Meta tells when asked, hence `asks`.
    alert: str = ""
    about: str = ""
    detail: str = ""
    over: tuple[str, ...] = ()
    asks: bool = True


class AccountNews(Struct, frozen=True, tag=True, omit_defaults=True):
    """Something has become of an account, and so of each of its numbers."""

    holds: tuple[str, ...] = ()
    """Why nothing may be sent from now on."""
    lifts: tuple[str, ...] = ()
    """What keeps us from sending no more."""
    limits: tuple[str, ...] = ()
    alert: str = ""
    about: str = ""
    detail: str = ""
    over: tuple[str, ...] = ()
    asks: bool = True


class Nothing(Struct, frozen=True, tag=True):
    """It changes nothing of ours; it is counted."""


class Ask(Struct, frozen=True, tag=True):
    """It could not be read, or says that more has changed than it tells."""


News = TemplateNews | NumberNews | AccountNews | Nothing | Ask


def read(change: Change) -> News:
    """What a change means for us."""
    try:
        value = msgspec.json.decode(change.value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return Ask()
    reader = _READERS.get(change.field)
    if reader is None:
        return AccountNews(alert="unknown_field", about=change.field, asks=False)
    if not isinstance(value, dict):
        return Ask()
    return reader(value)


def channels_meant(directory: Directory, change: Change) -> tuple[Channel, ...]:
    """Whose a change is; empty if nobody of ours is meant."""
    for id in accounts_in(change):
        if channels := directory.channels_of(id):
            return channels
        if channel := directory.channel_by_number(id):
            return (channel,)
    return ()


def accounts_in(change: Change) -> tuple[str, ...]:
    """Ids by which a change may be ours, the likeliest first.

    `entry[].id` of an `account_update` may be the portfolio of whoever serves the firm, which is to say our own: the
    WABA that the value names is meant then, and no other.
    """
    try:
        value = msgspec.json.decode(change.value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        value = None
    if meant := _id(_get(_get(value, "waba_info"), "waba_id")):
        return (meant,)
    found = (change.account, _id(_get(value, "entity_id")))
    return tuple(dict.fromkeys(id for id in found if id))


# ------------------------------------------------------------------ templates

# What Meta says has happened, and the status that a template has then. A flag or an appeal leaves it as it was.
_STATUS_AFTER: Final = {
    "APPROVED": "APPROVED",
    "REINSTATED": "APPROVED",
    "UNPAUSED": "APPROVED",
    "PENDING": "PENDING",
    "IN_REVIEW": "PENDING",
    "REJECTED": "REJECTED",
    "PAUSED": "PAUSED",
    "DISABLED": "DISABLED",
    "ARCHIVED": "ARCHIVED",
    "LOCKED": "LOCKED",
    "LIMIT_EXCEEDED": "LIMIT_EXCEEDED",
    "PENDING_DELETION": "PENDING_DELETION",
    "DELETED": "DELETED",
}
_BAD_STATUS: Final = frozenset({
    "ARCHIVED", "DELETED", "DISABLED", "LIMIT_EXCEEDED", "LOCKED", "PAUSED", "PENDING_DELETION", "REJECTED",
})  # fmt: skip

STATUS_ALERTS: Final = (
    *(f"template_{status.lower()}" for status in sorted(_BAD_STATUS)),
    "template_flagged",
)
"""Kinds of alerts that end when a template is approved again."""


def status_alert(status: str) -> str:
    """Kind of the alert about a template that has come to this status; empty if it is none to worry about."""
    return f"template_{status.lower()}" if status in _BAD_STATUS else ""


def _template_status(value: _Object) -> News:
    key = _template(value)
    event = _word(value.get("event"))
    if key is None or not event:
        return Ask()
    news = _category(value.get("message_template_category"))
    status = _STATUS_AFTER.get(event, "")
    if status:
        news["status"] = status
    alert = status_alert(status) or ("template_flagged" if event == "FLAGGED" else "")
    return TemplateNews(
        *key,
        news=news,
        alert=alert,
        detail=_first(
            value.get("reason"),
            _get(value.get("rejection_info"), "reason"),
            _get(value.get("other_info"), "title"),
        ),
        over=STATUS_ALERTS if status == "APPROVED" else (),
        asks=not status,
    )


def _template_quality(value: _Object) -> News:
    key = _template(value)
    quality = _word(value.get("new_quality_score"))
    if key is None or not quality:
        return Ask()
    bad = quality in ("YELLOW", "RED")
    return TemplateNews(
        *key,
        news={"quality": quality},
        alert="template_quality" if bad else "",
        detail=quality if bad else "",
        over=() if bad else ("template_quality",),
    )


def _template_components(value: _Object) -> News:
    key = _template(value)
    # Its variables may be others now, and the text alone does not tell all of them.
    return Ask() if key is None else TemplateNews(*key, asks=True)


def _template_category(value: _Object) -> News:
    key = _template(value)
    if key is None:
        return Ask()
    to, before = _word(value.get("new_category")), _word(value.get("previous_category"))
    soon = _word(value.get("correct_category"))
    if soon and not before:
        # A day's notice: `new_category` is the one that it still has.
        return TemplateNews(*key, alert="template_recategorised_soon", detail=f"{to} → {soon}")
    if not to:
        return Ask()
    news = _category(to)
    return TemplateNews(
        *key,
        news=news,
        alert="template_recategorised",
        detail=f"{before or 'UNKNOWN'} → {to}",
        over=("template_recategorised_soon",),
        asks=not news,
    )


def _template(value: _Object) -> tuple[str, str] | None:
    name, locale = value.get("message_template_name"), value.get("message_template_language")
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        return None
    if not (isinstance(locale, str) and _LOCALE.fullmatch(locale)):
        return None
    # Meta's own examples of webhooks have en-US where its lists have en_US.
    return name, locale.replace("-", "_")


def _category(value: object) -> dict[str, str]:
    word = _word(value).lower()
    return {"category": word} if word in ("utility", "marketing", "authentication") else {}


# ------------------------------------------------------------------ numbers


def _number_quality(value: _Object) -> News:
    event = _word(value.get("event"))
    if not event:
        return Ask()
    tier = _word(value.get("current_limit")) or _tier(value)
    facts = {"tier": tier} if tier else {}
    alert = detail = ""
    per_s = 0
    over: tuple[str, ...] = ()
    match event:
        case "THROUGHPUT_UPGRADE":
            # The tier beside it says nothing of the messaging limit.
            facts, per_s = {}, UPGRADED
        case "FLAGGED":
            facts["quality"], alert, detail = "RED", "quality", "FLAGGED"
        case "UNFLAGGED":
            over = ("quality",)
        case "DOWNGRADE":
            alert, detail = "tier_lowered", tier
        case "UPGRADE":
            over = ("tier_lowered",)
        case _:
            pass
    return NumberNews(
        phone=_digits(value.get("display_phone_number")),
        facts=facts,
        per_s=per_s,
        alert=alert,
        detail=detail,
        over=over,
    )


def _number_name(value: _Object) -> News:
    decision = _word(value.get("decision"))
    if not decision:
        return Ask()
    declined = decision in ("REJECTED", "DECLINED")
    return NumberNews(
        phone=_digits(value.get("display_phone_number")),
        facts={"name_status": "DECLINED" if declined else decision},
        alert="name" if declined else "",
        detail=_word(value.get("rejection_reason")) if declined else "",
        over=() if declined else ("name",),
    )


def _security(value: _Object) -> News:
    event = _word(value.get("event"))
    if not event:
        return Ask()
    # Who asked for it is a person: their name stays with Meta.
    return NumberNews(
        phone=_digits(value.get("display_phone_number")), alert="security", about=event
    )


# ------------------------------------------------------------------ accounts


def _account(value: _Object) -> News:
    event = _word(value.get("event"))
    match event:
        case "ACCOUNT_DELETED":
            return AccountNews(holds=("account_deleted",), alert="account_deleted")
        case "DISABLED_UPDATE":
            return _ban(_word(_get(value.get("ban_info"), "waba_ban_state")))
        case "ACCOUNT_RESTRICTION":
            return _restriction(value)
        case "ACCOUNT_VIOLATION":
            kind = _word(_get(value.get("violation_info"), "violation_type"))
            return AccountNews(alert="account_violation", about=kind)
        case "PARTNER_REMOVED" | "PARTNER_APP_UNINSTALLED" | "ACCOUNT_OFFBOARDED":
            return AccountNews(holds=("app_removed",), alert="app_removed", detail=event)
        case "PARTNER_ADDED" | "PARTNER_APP_INSTALLED" | "ACCOUNT_RECONNECTED":
            return AccountNews(lifts=("app_removed",), over=("app_removed",))
        case "":
            return Ask()
        case _:
            # Prices, terms, countries: nothing that keeps anybody from sending.
            return Nothing()


def _ban(state: str) -> News:
    match state:
        case "DISABLE" | "DISABLED":
            return AccountNews(holds=("account_disabled",), alert="account_disabled", detail=state)
        case "SCHEDULE_FOR_DISABLE":
            return AccountNews(alert="account_disabled_soon")
        case "REINSTATE" | "REINSTATED":
            over = ("account_disabled", "account_disabled_soon")
            return AccountNews(lifts=("account_disabled",), over=over)
        case _:
            return Ask()


def _restriction(value: _Object) -> News:
    info = value.get("restriction_info")
    each = info if isinstance(info, list) else [info]
    kinds = {_word(_get(one, "restriction_type")) for one in each} - {""}
    holds = ("account_restricted",) if "RESTRICTED_CUSTOMER_INITIATED_MESSAGING" in kinds else ()
    limits = ("account_restricted",) if "RESTRICTED_BIZ_INITIATED_MESSAGING" in kinds else ()
    return AccountNews(
        holds=holds, limits=limits, alert="account_restricted", detail=" ".join(sorted(kinds))
    )


def _account_alert(value: _Object) -> News:
    info = value.get("alert_info")
    info = info if isinstance(info, dict) else value  # some examples of Meta's have it flat
    kind = _word(info.get("alert_type"))
    if not kind:
        return Ask()
    return AccountNews(alert="account_alert", about=kind, asks=False)


def _review(value: _Object) -> News:
    decision = _word(value.get("decision"))
    if decision == "APPROVED":
        return AccountNews(over=("account_review",))
    return AccountNews(alert="account_review", detail=decision) if decision else Ask()


def _capability(value: _Object) -> News:
    tier = _tier(value)
    return NumberNews(facts={"tier": tier}) if tier else Ask()


def _form(value: _Object) -> News:
    event, flow = _word(value.get("event")), _id(value.get("flow_id")) or "?"
    if not event:
        return Ask()
    status, alarm = _word(value.get("new_status")), _word(value.get("alert_state"))
    if status in ("THROTTLED", "BLOCKED") or alarm == "ACTIVATED":
        return AccountNews(alert="form", about=f"{flow} {event}", asks=False)
    return Nothing()


def _nothing(_value: _Object) -> News:
    return Nothing()


_READERS: Final[Mapping[str, Callable[[_Object], News]]] = {
    "account_alerts": _account_alert,
    "account_review_update": _review,
    "account_update": _account,
    "automatic_events": _nothing,
    "business_capability_update": _capability,
    "business_username_update": _nothing,
    "business_username_updates": _nothing,
    "flows": _form,
    "message_template_components_update": _template_components,
    "message_template_quality_update": _template_quality,
    "message_template_status_update": _template_status,
    "partner_solutions": _nothing,
    "payment_configuration_update": _nothing,
    "phone_number_name_update": _number_name,
    "phone_number_quality_update": _number_quality,
    "security": _security,
    "template_category_update": _template_category,
}


# ------------------------------------------------------------------ values of any shape


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _word(value: object) -> str:
    """One of Meta's words; empty for anything else."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _id(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and _ID.fullmatch(text) else ""


def _first(*values: object) -> str:
    return next((word for value in values if (word := _word(value)) and word != "NONE"), "")


def _digits(value: object) -> str:
    return "".join(c for c in value if c in "0123456789") if isinstance(value, str) else ""


def _tier(value: _Object) -> str:
    """The messaging limit as Meta's other places word it; up to v23 it was a number, -1 for no limit."""
    for key in ("max_daily_conversations_per_business", "max_daily_conversation_per_phone"):
        told = value.get(key)
        if isinstance(told, int) and not isinstance(told, bool):
            return _TIER_OF.get(told, f"TIER_{told}" if 0 < told < 10**9 else "")
        if word := _word(told):
            return word
    return ""


_TIER_OF: Final = {
    -1: "TIER_UNLIMITED",
    1_000: "TIER_1K",
    2_000: "TIER_2K",
    10_000: "TIER_10K",
    100_000: "TIER_100K",
}
