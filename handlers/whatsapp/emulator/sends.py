"""Reads what a business posts to `/<PHONE_ID>/messages`, and refuses what Meta refuses.

Written from Meta's reference alone, and not with the bot's own codec, so that a mistake of the codec is seen here.
"""

import re
from typing import Final

from handlers.whatsapp.emulator.attachments import (
    medium_kind,
    read_cards,
    read_medium,
    read_place,
    read_reaction,
)
from handlers.whatsapp.emulator.content import Said, Text
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import JSON, a_text, an_object, only
from handlers.whatsapp.emulator.fillings import FindTemplate, read_template
from handlers.whatsapp.emulator.interactive import read_interactive
from handlers.whatsapp.emulator.world import Send

TEXT_MAX: Final = 4096
OPAQUE_MAX: Final = 512

_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()\-]{5,24}")
# Meta: ISO country, a dot, the optional word of a parent id, alphanumerics.
_BSUID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_ENVELOPE: Final = (
    "messaging_product", "recipient_type", "to", "recipient", "context", "type", "biz_opaque_callback_data",
)  # fmt: skip


class ReadReceipt:
    """A request that marks a message read, perhaps with the typing dots."""

    __slots__ = ("message_id", "typing")

    def __init__(self, message_id: str, *, typing: bool) -> None:
        self.message_id = message_id
        self.typing = typing


def read_request(body: JSON, find_template: FindTemplate) -> Send | ReadReceipt:
    """What the request asks for.

    Raises:
        GraphError: what Meta would answer to it.
    """
    if body.get("messaging_product") != "whatsapp":
        raise GraphError(100, "The parameter messaging_product is required.")
    if "status" in body:
        return _receipt(body)
    if body.get("recipient_type", "individual") != "individual":
        raise GraphError(131009, "recipient_type must be individual.")
    phone, bsuid = _address(body)
    return Send(
        content=_content(body, find_template),
        to=str(body.get("to", "")),
        phone=phone,
        bsuid=bsuid,
        opaque=_opaque(body),
        quotes=_quotes(body),
    )


def _receipt(body: JSON) -> ReadReceipt:
    if body["status"] != "read":
        raise GraphError(131009, "status must be read.")
    typing = "typing_indicator" in body
    if typing and body["typing_indicator"] != {"type": "text"}:
        raise GraphError(131009, "typing_indicator.type must be text.")
    return ReadReceipt(a_text(body, "message_id", "message_id"), typing=typing)


def _address(body: JSON) -> tuple[str, str]:
    to, recipient = body.get("to", ""), body.get("recipient", "")
    if not to and not recipient:
        raise GraphError(131008, "One of to and recipient is required.")
    if to and not (isinstance(to, str) and _PHONE.fullmatch(to)):
        raise GraphError(131009, "to is not a phone number.")
    if recipient and not (isinstance(recipient, str) and _BSUID.fullmatch(recipient)):
        raise GraphError(131009, "recipient is not a business-scoped user id.")
    return "".join(filter(str.isdigit, str(to))), str(recipient)


def _opaque(body: JSON) -> str:
    opaque = body.get("biz_opaque_callback_data", "")
    if not isinstance(opaque, str) or len(opaque) > OPAQUE_MAX:
        raise GraphError(
            131009, f"biz_opaque_callback_data must be a text of at most {OPAQUE_MAX} characters."
        )
    return opaque


def _quotes(body: JSON) -> str:
    if "context" not in body:
        return ""
    return a_text(an_object(body, "context"), "message_id", "context.message_id")


def _content(body: JSON, find_template: FindTemplate) -> Said:
    kind = body.get("type", "text")
    said = _of_kind(kind, body, find_template)
    only(body, "messages", *_ENVELOPE, str(kind))
    return said


def _of_kind(kind: object, body: JSON, find_template: FindTemplate) -> Said:
    if (named := medium_kind(kind)) is not None:
        return read_medium(body, named)
    match kind:
        case "text":
            return _text(an_object(body, "text"))
        case "location":
            return read_place(body)
        case "contacts":
            return read_cards(body)
        case "reaction":
            return read_reaction(body)
        case "interactive":
            return read_interactive(an_object(body, "interactive"))
        case "template":
            return read_template(an_object(body, "template"), find_template)
        case _:
            raise GraphError(131051, f"Message type {kind} is not known here.")


def _text(given: JSON) -> Text:
    only(given, "text", "body", "preview_url")
    text = a_text(given, "body", "text.body")
    if len(text) > TEXT_MAX:
        raise GraphError(100, f"Param text['body'] must be at most {TEXT_MAX} characters long.")
    if not isinstance(given.get("preview_url", False), bool):
        raise GraphError(100, "Param text['preview_url'] must be a boolean.")
    return Text(text)
