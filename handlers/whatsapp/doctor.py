"""What is wrong with a WhatsApp number, and how to mend it.

Source: Meta, "Business phone numbers", "Health status", "Subscribed apps", "Debug token" (v26.0).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from handlers.ports import Channel
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, GraphFault
from handlers.whatsapp.mends import mend_of

FIELDS: Final = "quality_rating,code_verification_status,name_status,health_status,throughput"
# Not on every page of Meta's, so asked for apart: a field that went away must not spoil the rest.
MORE_FIELDS: Final = "whatsapp_business_manager_messaging_limit,is_pin_enabled"
SCOPES: Final = frozenset({"whatsapp_business_messaging", "whatsapp_business_management"})
EXPIRES_SOON_MS: Final = 14 * 86_400_000  # ours: two weeks are enough to make another token


@dataclass(frozen=True, slots=True)
class Finding:
    problem: str
    """A word for logs and metrics, and the kind of an alert."""
    blocks: bool = True
    """Whether nothing can be sent until it is mended."""

    @property
    def mend(self) -> str:
        """What the operator does about it."""
        return mend_of(self.problem)


UNREACHABLE: Final = Finding("unreachable")
TOKEN: Final = Finding("token")
TOKEN_SCOPE: Final = Finding("token_scope")
TOKEN_KIND: Final = Finding("token_kind", blocks=False)
TOKEN_EXPIRES: Final = Finding("token_expires", blocks=False)
NUMBER: Final = Finding("number")
ACCOUNT: Final = Finding("account")
UNVERIFIED: Final = Finding("unverified", blocks=False)
NAME: Final = Finding("name", blocks=False)
QUALITY: Final = Finding("quality", blocks=False)
HEALTH_BLOCKED: Final = Finding("health_blocked")
HEALTH_LIMITED: Final = Finding("health_limited", blocks=False)
NO_PIN: Final = Finding("no_pin", blocks=False)
NOT_SUBSCRIBED: Final = Finding("not_subscribed")
UNKNOWN: Final = Finding("unknown")

FINDINGS: Final = (
    *(UNREACHABLE, TOKEN, TOKEN_SCOPE, TOKEN_KIND, TOKEN_EXPIRES, NUMBER, ACCOUNT, UNVERIFIED, NAME, QUALITY),
    *(HEALTH_BLOCKED, HEALTH_LIMITED, NO_PIN, NOT_SUBSCRIBED, UNKNOWN),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """What Meta said. Facts that it did not tell are empty."""

    findings: tuple[Finding, ...]
    quality: str = ""
    tier: str = ""
    throughput: str = ""
    """STANDARD, HIGH or NOT_APPLICABLE."""
    name_status: str = ""
    can_send: str = ""
    """AVAILABLE, LIMITED or BLOCKED."""
    why: tuple[str, ...] = ()
    """What Meta says about the parts of `health_status` that are not well: `<part> <code>`."""
    token_kind: str = ""
    """SYSTEM_USER, USER …"""
    token_expires_at: int = 0
    """ms since the epoch; 0: never, or not told."""
    complete: bool = False
    """Whether number, account and subscription could all be looked at."""

    @property
    def blocked(self) -> bool:
        return any(finding.blocks for finding in self.findings)


async def examine(graph: Graph, channel: Channel, token: str, *, now_ms: int) -> Report:
    """Ask Meta about the number, its account and its token. Changes nothing, and raises nothing."""
    id = channel.phone_number_id
    if not (token.isascii() and token.isprintable()) or not token or " " in token:
        return Report((TOKEN,))
    try:
        number = await graph.get(f"{id}?fields={FIELDS}", token)
    except GraphError as error:
        return Report((_of_error(error, missing=NUMBER),))
    if not isinstance(number, dict):
        return Report((UNKNOWN,))
    facts = number | await _if_told(graph, f"{id}?fields={MORE_FIELDS}", token)
    told = await _if_told(graph, f"debug_token?input_token={quote(token, safe='')}", token)
    about_token = told.get("data")
    about_token = about_token if isinstance(about_token, dict) else {}
    kind, expires_at = _word(about_token.get("type")), _ms(about_token.get("expires_at"))
    findings = [*_of_number(facts), *_of_token(about_token, kind, expires_at, now_ms=now_ms)]
    complete = False
    try:
        apps = await graph.get(f"{channel.waba_id}/subscribed_apps", token)
    except GraphError as error:
        findings.append(_of_error(error, missing=ACCOUNT))
    else:
        findings += _of_apps(apps, ours=_word(about_token.get("app_id")))
        complete = UNKNOWN not in findings
    level = facts.get("throughput")
    health = facts.get("health_status")
    return Report(
        findings=tuple(findings),
        quality=_word(facts.get("quality_rating")),
        tier=_word(facts.get("whatsapp_business_manager_messaging_limit")),
        throughput=_word(level.get("level")) if isinstance(level, dict) else "",
        name_status=_word(facts.get("name_status")),
        can_send=_word(health.get("can_send_message")) if isinstance(health, dict) else "",
        why=_why(health),
        token_kind=kind,
        token_expires_at=expires_at,
        complete=complete,
    )


async def _if_told(graph: Graph, path: str, token: str) -> dict[object, object]:
    """An answer that is good to have; empty when there is none."""
    try:
        answer = await graph.get(path, token)
    except GraphError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _of_error(error: GraphError, *, missing: Finding) -> Finding:
    match error:
        case GraphFault(fault=fault) if fault.name in ("token", "permission"):
            return TOKEN
        case GraphFault(code=33 | 100):
            return missing
        case GraphFault():
            return UNKNOWN
        case _:
            return UNREACHABLE


def _of_number(number: Mapping[object, object]) -> list[Finding]:
    findings = []
    if number.get("code_verification_status") in ("NOT_VERIFIED", "EXPIRED"):
        findings.append(UNVERIFIED)
    if number.get("name_status") in ("DECLINED", "EXPIRED"):
        findings.append(NAME)
    if number.get("quality_rating") in ("YELLOW", "RED"):
        findings.append(QUALITY)
    match number.get("health_status"):
        case {"can_send_message": "BLOCKED"}:
            findings.append(HEALTH_BLOCKED)
        case {"can_send_message": "LIMITED"}:
            findings.append(HEALTH_LIMITED)
        case _:
            pass
    if number.get("is_pin_enabled") is False:
        findings.append(NO_PIN)
    return findings


def _of_token(
    token: Mapping[object, object], kind: str, expires_at: int, *, now_ms: int
) -> list[Finding]:
    """Meta lets not every token be looked at: of such a one nothing is found."""
    findings = []
    scopes = token.get("scopes")
    if token.get("is_valid") is False:
        return [TOKEN]
    if isinstance(scopes, list) and scopes and not all(scope in scopes for scope in SCOPES):
        findings.append(TOKEN_SCOPE)
    if kind == "USER":
        findings.append(TOKEN_KIND)
    if expires_at and expires_at - now_ms < EXPIRES_SOON_MS:
        findings.append(TOKEN_EXPIRES)
    return findings


def _of_apps(apps: object, *, ours: str) -> list[Finding]:
    match apps:
        case {"data": list(subscribed)}:
            ids = {_app_id(app) for app in subscribed}
            # Without the token's own app any one may be ours.
            return [] if (ours in ids if ours else ids) else [NOT_SUBSCRIBED]
        case _:
            return [UNKNOWN]


def _app_id(app: object) -> str:
    match app:
        case {"whatsapp_business_api_data": {"id": id}}:
            return str(id)
        case _:
            return ""


def _why(health: object) -> tuple[str, ...]:
    entities = health.get("entities") if isinstance(health, dict) else None
    found = []
    for entity in entities if isinstance(entities, list) else ():
        match entity:
            case {"entity_type": str(part), "errors": [*errors]}:
                for error in errors:
                    code = error.get("error_code") if isinstance(error, dict) else None
                    if isinstance(code, int):
                        found.append(f"{_word(part)} {code}".strip())
            case _:
                pass
    return tuple(found)


def _word(value: object) -> str:
    plain = isinstance(value, str) and len(value) <= 64 and value.replace("_", "").isalnum()
    return str(value) if plain else ""


def _ms(seconds: object) -> int:
    """Meta: 0 is never."""
    is_time = isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds < 10**11
    return int(str(seconds)) * 1000 if is_time else 0
