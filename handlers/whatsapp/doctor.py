"""What is wrong with a WhatsApp number, and how to mend it.

Source: Meta, "Business phone numbers", "Health status", "Subscribed apps" (v26.0).
"""

from dataclasses import dataclass
from typing import Final

from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, GraphFault
from handlers.whatsapp.settings import ChannelSettings

FIELDS: Final = "quality_rating,code_verification_status,name_status,health_status"


@dataclass(frozen=True, slots=True)
class Finding:
    problem: str
    """A word for logs and metrics."""
    mend: str
    """What the operator does about it."""
    blocks: bool = True
    """Whether nothing can be sent until it is mended."""


UNREACHABLE: Final = Finding("unreachable", "check the network and WHATSAPP_GRAPH_URL")
TOKEN: Final = Finding(
    "token",
    "make a token of a system user with whatsapp_business_messaging and whatsapp_business_management,"
    " assign the WhatsApp account to that user, and set the token anew",
)
NUMBER: Final = Finding(
    "number",
    "copy phone_number_id again from WhatsApp > API Setup, and let the token's user see that account",
)
ACCOUNT: Final = Finding("account", "copy waba_id again from WhatsApp > API Setup")
UNVERIFIED: Final = Finding(
    "unverified", "verify the number by SMS or call in WhatsApp Manager", blocks=False
)
NAME: Final = Finding("name", "ask for a new display name in WhatsApp Manager", blocks=False)
QUALITY: Final = Finding(
    "quality", "people block or report this number: look at what is sent to them", blocks=False
)
HEALTH_BLOCKED: Final = Finding("health_blocked", "see the number's status in WhatsApp Manager")
HEALTH_LIMITED: Final = Finding(
    "health_limited", "see the number's status in WhatsApp Manager", blocks=False
)
NOT_SUBSCRIBED: Final = Finding(
    "not_subscribed", "subscribe the app: POST /<waba_id>/subscribed_apps with this token"
)
UNKNOWN: Final = Finding("unknown", "Meta's answer is not understood: try again later")


async def examine(graph: Graph, settings: ChannelSettings) -> tuple[Finding, ...]:
    """Ask Meta about the number and its account; empty when all is well. Changes nothing."""
    try:
        number = await graph.get(f"{settings.phone_number_id}?fields={FIELDS}", settings.token)
    except GraphError as error:
        return (_of_error(error, missing=NUMBER),)
    findings = list(_of_number(number))
    try:
        apps = await graph.get(f"{settings.waba_id}/subscribed_apps", settings.token)
    except GraphError as error:
        return (*findings, _of_error(error, missing=ACCOUNT))
    match apps:
        case {"data": [_, *_]}:
            pass
        case {"data": []}:
            findings.append(NOT_SUBSCRIBED)
        case _:
            findings.append(UNKNOWN)
    return tuple(findings)


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


def _of_number(number: object) -> tuple[Finding, ...]:
    if not isinstance(number, dict):
        return (UNKNOWN,)
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
    return tuple(findings)
