"""Accounts and numbers as Meta's own people see them: how each stands, and what becomes of it.

Each decision changes how things stand and is told by a webhook of its own field. Source: Meta, the pages of the
webhook fields, "Health status", "Two-step verification", "Debug token" (v26.0).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from handlers.ports import Clock
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import JSON
from handlers.whatsapp.emulator.templates import Category, Template, TemplateStatus
from handlers.whatsapp.emulator.world import Number, NumberId, World, WorldError

REGISTRATIONS_MAX: Final = 10  # Meta: of a number ...
REGISTRATIONS_MS: Final = 72 * 3_600_000  # ... in 72 hours; error 133016
WRONG_PINS_MAX: Final = 5  # ours: Meta does not tell how many; error 133008
SCOPES: Final = ("whatsapp_business_management", "whatsapp_business_messaging")
APP_ID: Final = "1"


class Standing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a number stands, with its account and its token."""

    quality: Literal["GREEN", "YELLOW", "RED", "UNKNOWN"] = "GREEN"
    tier: str = "TIER_2K"
    throughput: Literal["STANDARD", "HIGH"] = "STANDARD"
    name_status: str = "APPROVED"
    verified: str = "VERIFIED"
    registered: bool = True
    in_app: bool = False
    """Whether it is used in the WhatsApp Business app too (coexistence)."""
    register_fails_with: int = 0
    """Other than 0, registering answers this error, however right its PIN."""
    pin: str = "123456"
    """Two-step verification; empty: none was set."""
    subscribed: bool = True
    """Whether the account's webhooks come to the bot's app."""
    disabled: bool = False
    """Meta has locked the account."""
    restricted: bool = False
    """It may answer, and not write first."""
    unpaid: bool = False
    """Meta cannot charge."""
    away: bool = False
    """Whatever is asked about accounts is answered by a page of a gateway, with 502."""
    token_valid: bool = True
    token_kind: str = "SYSTEM_USER"  # noqa: S105  a kind of token
    token_expires_at: int = 0
    """Seconds since the epoch; 0: never."""
    scopes: tuple[str, ...] = SCOPES

    @property
    def can_send(self) -> Literal["AVAILABLE", "LIMITED", "BLOCKED"]:
        if self.disabled or self.unpaid or not self.registered:
            return "BLOCKED"
        return "LIMITED" if self.restricted else "AVAILABLE"


# ------------------------------------------------------------------ what Meta decides


class TemplateNews(Struct, frozen=True, tag="template", kw_only=True):
    """A template was reviewed, paused, disabled …"""

    name: str
    language: str
    event: str
    reason: str = "NONE"
    title: str = ""


class TemplateQuality(Struct, frozen=True, tag="template_quality", kw_only=True):
    name: str
    language: str
    quality: Literal["GREEN", "YELLOW", "RED", "UNKNOWN"]


class TemplateCategory(Struct, frozen=True, tag="template_category", kw_only=True):
    """Another category, now or in a day."""

    name: str
    language: str
    category: Category
    soon: bool = False


class NumberQuality(Struct, frozen=True, tag="number_quality", kw_only=True):
    event: str
    tier: str = ""


class NumberName(Struct, frozen=True, tag="number_name", kw_only=True):
    decision: str
    reason: str | None = None


class AccountUpdate(Struct, frozen=True, tag="account", kw_only=True):
    event: str
    ban: str = ""
    """DISABLE, REINSTATE … of a DISABLED_UPDATE."""
    restrictions: tuple[str, ...] = ()
    """Of an ACCOUNT_RESTRICTION."""


class Other(Struct, frozen=True, tag="other", kw_only=True):
    """Any field, any value: it changes nothing here."""

    field: str
    value: msgspec.Raw


Decision = (
    TemplateNews
    | TemplateQuality
    | TemplateCategory
    | NumberQuality
    | NumberName
    | AccountUpdate
    | Other
)

_STATUS: Final[dict[str, TemplateStatus]] = {
    "APPROVED": "APPROVED",
    "REINSTATED": "APPROVED",
    "PENDING": "PENDING",
    "REJECTED": "REJECTED",
    "PAUSED": "PAUSED",
    "DISABLED": "DISABLED",
    "ARCHIVED": "ARCHIVED",
}


@dataclass(slots=True)
class _Registrations:
    times_ms: deque[int] = field(default_factory=deque)


class Accounts:
    """See the module."""

    def __init__(self, world: World, *, clock: Clock, post: Callable[[bytes], None]) -> None:
        """`post` signs a webhook body and carries it to the bot."""
        self._world = world
        self._clock = clock
        self._post = post
        self._standing: dict[NumberId, Standing] = {}
        self._registrations: dict[NumberId, _Registrations] = {}
        self._wrong_pins: dict[NumberId, int] = {}

    def standing(self, number: NumberId) -> Standing:
        known = self._standing.get(number)
        if known is None:
            fast = self._world.numbers[number].per_s >= 1_000
            known = Standing(throughput="HIGH" if fast else "STANDARD")
        return known

    def change(self, number: NumberId, changes: dict[str, object]) -> Standing:
        """Some of the fields; nobody is told."""
        now = msgspec.to_builtins(self.standing(number)) | changes
        self._standing[number] = msgspec.convert(now, Standing)
        return self._standing[number]

    def clear(self) -> None:
        """As on the first day."""
        self._standing.clear()
        self._registrations.clear()
        self._wrong_pins.clear()

    # -------------------------------------------------------------- towards the bot

    def check_token(self, number: NumberId) -> None:
        """
        Raises:
            GraphError: the token of the number is none any more.
        """
        if not self.standing(number).token_valid:
            raise GraphError(190, "The session has been invalidated.", subcode=460)

    def check_send(self, number: NumberId, *, initiates: bool) -> None:
        """
        Raises:
            GraphError: the number may not send, or not write first.
        """
        standing = self.standing(number)
        if not standing.registered:
            raise GraphError(133010, "The phone number is not registered.")
        if standing.disabled:
            raise GraphError(131031, "The account has been locked.")
        if standing.unpaid:
            raise GraphError(131042, "There is an error with the payment method.")
        if standing.restricted and initiates:
            raise GraphError(368, "The account is temporarily blocked for policy violations.")

    def register(self, number: NumberId, pin: str) -> None:
        """
        Raises:
            GraphError: the PIN is not the number's, or it was tried too often.
        """
        if (code := self.standing(number).register_fails_with) != 0:
            raise GraphError(code, "As it was asked for.")
        if self.standing(number).in_app:
            raise GraphError(100, "Register endpoint is not available for SMB businesses.")
        now = self._clock.now_ms()
        tried = self._registrations.setdefault(number, _Registrations()).times_ms
        while tried and now - tried[0] >= REGISTRATIONS_MS:
            tried.popleft()
        if len(tried) >= REGISTRATIONS_MAX:
            raise GraphError(133016, "Too many register attempts; try again later.")
        tried.append(now)
        standing = self.standing(number)
        if standing.verified != "VERIFIED":
            raise GraphError(133006, "Phone number needs to be verified before registering.")
        wrong = self._wrong_pins.get(number, 0)
        if standing.pin and standing.pin != pin:
            self._wrong_pins[number] = wrong + 1
            if wrong >= WRONG_PINS_MAX:
                raise GraphError(133008, "Too many two step verification PIN guesses.")
            raise GraphError(133005, "Two step verification PIN Mismatch")
        self._wrong_pins.pop(number, None)
        self._standing[number] = replace(standing, registered=True, pin=pin)

    # -------------------------------------------------------------- what Meta decides

    def decide(self, number: NumberId, decision: Decision) -> None:
        """Let it happen, and tell the bot.

        Raises:
            WorldError: there is no such template.
        """
        line = self._world.numbers[number]
        match decision:
            case TemplateNews():
                self._template_news(line, decision)
            case TemplateQuality():
                template = self._change(
                    line, decision.name, decision.language, quality=decision.quality
                )
                self._tell(
                    line,
                    "message_template_quality_update",
                    {
                        "previous_quality_score": template.quality,
                        "new_quality_score": decision.quality,
                        **_naming(template),
                    },
                )
            case TemplateCategory():
                self._category(line, decision)
            case NumberQuality():
                self._quality(line, decision)
            case NumberName():
                declined = decision.decision == "REJECTED"
                self.change(number, {"name_status": "DECLINED" if declined else decision.decision})
                self._tell(
                    line,
                    "phone_number_name_update",
                    {
                        **_phone(line),
                        "decision": decision.decision,
                        "requested_verified_name": line.name,
                        "rejection_reason": decision.reason,
                    },
                )
            case AccountUpdate():
                self._account(line, decision)
            case Other():
                self._tell(line, decision.field, decision.value)
            case _:
                assert_never(decision)

    def partner_added(self, waba: str, portfolio: str, *, business: str) -> None:
        """A business has let the bot's app into its account: told under the app's own portfolio."""
        info = {"waba_id": waba, "owner_business_id": portfolio}
        change = {"field": "account_update", "value": {"event": "PARTNER_ADDED", "waba_info": info}}
        entry = {"id": business, "time": self._clock.now_ms() // 1000, "changes": [change]}
        self._post(msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]}))

    def reviews(self, line: Number, template: Template) -> None:
        """A template came in, or was edited: Meta looks at it."""
        self._world.put_template(line.waba_id, replace(template, status="PENDING", rejected="NONE"))

    def _template_news(self, line: Number, decision: TemplateNews) -> None:
        status = _STATUS.get(decision.event)
        changes: dict[str, object] = {}
        if status is not None:
            rejected = decision.reason if status == "REJECTED" else "NONE"
            changes = {"status": status, "rejected": rejected}
        if decision.event == "DELETED":
            template = self._world.remove_template(line.waba_id, decision.name, decision.language)
        else:
            template = self._change(line, decision.name, decision.language, **changes)
        if template is None:
            raise WorldError("no such template")
        value: JSON = {
            "event": decision.event,
            **_naming(template),
            "reason": decision.reason,
            "message_template_category": template.category,
        }
        if decision.title:
            value["other_info"] = {"title": decision.title, "description": decision.title}
        self._tell(line, "message_template_status_update", value)

    def _category(self, line: Number, decision: TemplateCategory) -> None:
        template = self._template(line, decision.name, decision.language)
        value: JSON
        if decision.soon:
            value = {
                "new_category": template.category,
                "correct_category": decision.category,
                "category_update_timestamp": self._clock.now_ms() // 1000 + 86_400,
            }
        else:
            self._change(line, decision.name, decision.language, category=decision.category)
            value = {"previous_category": template.category, "new_category": decision.category}
        self._tell(line, "template_category_update", {**_naming(template), **value})

    def _quality(self, line: Number, decision: NumberQuality) -> None:
        value: JSON = {**_phone(line), "event": decision.event}
        match decision.event:
            case "THROUGHPUT_UPGRADE":
                self.change(line.id, {"throughput": "HIGH"})
                self._world.set_throughput(line.id, 1_000)
                value["max_daily_conversations_per_business"] = "TIER_UNLIMITED"
            case "FLAGGED":
                self.change(line.id, {"quality": "RED"})
            case "UNFLAGGED":
                self.change(line.id, {"quality": "GREEN"})
            case _:
                pass
        if decision.tier:
            self.change(line.id, {"tier": decision.tier})
            value["max_daily_conversations_per_business"] = decision.tier
        self._tell(line, "phone_number_quality_update", value)

    def _account(self, line: Number, decision: AccountUpdate) -> None:
        value: JSON = {"event": decision.event}
        for each in self._world.numbers.values():
            if each.waba_id != line.waba_id:
                continue
            match decision.event, decision.ban:
                case "DISABLED_UPDATE", "DISABLE":
                    self.change(each.id, {"disabled": True})
                case "DISABLED_UPDATE", "REINSTATE":
                    self.change(each.id, {"disabled": False})
                case "ACCOUNT_RESTRICTION", _:
                    self.change(each.id, {"restricted": True})
                case _:
                    pass
        if decision.ban:
            value["ban_info"] = {
                "waba_ban_state": decision.ban,
                "waba_ban_date": "November 28, 2026",
            }
        if decision.restrictions:
            until = self._clock.now_ms() // 1000 + 3 * 86_400
            value["restriction_info"] = [
                {"restriction_type": each, "expiration": until} for each in decision.restrictions
            ]
        self._tell(line, "account_update", value)

    # -------------------------------------------------------------- within

    def _template(self, line: Number, name: str, language: str) -> Template:
        template = self._world.template(line.waba_id, name, language)
        if template is None:
            raise WorldError("no such template")
        return template

    def _change(self, line: Number, name: str, language: str, **changes: object) -> Template:
        """Answers it as it was."""
        template = self._template(line, name, language)
        self._world.put_template(line.waba_id, replace(template, **changes))
        return template

    def _tell(self, line: Number, field: str, value: object) -> None:
        change = {"field": field, "value": value}
        entry = {"id": line.waba_id, "time": self._clock.now_ms() // 1000, "changes": [change]}
        self._post(msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]}))


def _naming(template: Template) -> JSON:
    return {
        "message_template_id": int(template.id),
        "message_template_name": template.name,
        "message_template_language": template.language,
    }


def _phone(line: Number) -> JSON:
    return {"display_phone_number": "".join(c for c in line.display_phone if c.isdigit())}
