"""Writes the bodies of `POST /<phone_number_id>/messages`.

Source: Meta, "Messages API", "Interactive messages", "Authentication templates", "Typing indicators" (v26.0).
"""

from typing import assert_never

from msgspec.json import Encoder

from flows.dialog.content import Buttons, Content, Link, Rows, Template, Text
from flows.values.ids import ItemId, Wamid

_encode = Encoder().encode

_Json = dict[str, object]


def message(content: Content, *, to: str, recipient: str, item: ItemId, quotes: Wamid) -> bytes:
    """The body that sends `content`.

    Args:
        to: the phone, as WhatsApp keeps it; used whenever it is known.
        recipient: the BSUID, for people whose phone is hidden.
        item: comes back in every status of the message: how a send in doubt is settled.
        quotes: the message that it visibly answers; may be empty.
    """
    body: _Json = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    if to:
        # Meta: always with "+" and country code, or the sender's own country may be put in front.
        body["to"] = f"+{to}"
    else:
        body["recipient"] = recipient
    if quotes:
        body["context"] = {"message_id": quotes}
    match content:
        case Text():
            body["type"] = "text"
            body["text"] = {"body": content.body, "preview_url": content.preview}
        case Template():
            body["type"] = "template"
            body["template"] = _template(content)
        case Buttons() | Rows() | Link():
            body["type"] = "interactive"
            body["interactive"] = _interactive(content)
        case _:
            assert_never(content)
    body["biz_opaque_callback_data"] = item
    return _encode(body)


def receipt(read: Wamid, *, typing: bool) -> bytes:
    """The body that marks `read`, and all before it, as read; `typing` shows the dots for up to 25 s."""
    body: _Json = {"messaging_product": "whatsapp", "status": "read", "message_id": read}
    if typing:
        body["typing_indicator"] = {"type": "text"}
    return _encode(body)


def _interactive(content: Buttons | Rows | Link) -> _Json:
    action: _Json
    match content:
        case Buttons():
            kind = "button"
            action = {
                "buttons": [
                    {"type": "reply", "reply": {"id": button.id, "title": button.title}}
                    for button in content.buttons
                ]
            }
        case Rows():
            kind = "list"
            rows = [
                {"id": row.id, "title": row.title}
                | ({"description": row.description} if row.description else {})
                for row in content.rows
            ]
            action = {"button": content.button, "sections": [{"rows": rows}]}
        case Link():
            kind = "cta_url"
            action = {
                "name": "cta_url",
                "parameters": {"display_text": content.title, "url": content.url},
            }
        case _:
            assert_never(content)
    interactive: _Json = {"type": kind, "body": {"text": content.body}, "action": action}
    if content.footer:
        interactive["footer"] = {"text": content.footer}
    return interactive


def _template(template: Template) -> _Json:
    components: list[_Json] = []
    if template.code:
        # An authentication template shows the code in its body and copies it by its button: both need it.
        code = [{"type": "text", "text": template.code}]
        components.append({"type": "body", "parameters": code})
        components.append({"type": "button", "sub_type": "url", "index": "0", "parameters": code})
    elif template.variables:
        variables = [
            {"type": "text", "parameter_name": name, "text": value}
            for name, value in template.variables
        ]
        components.append({"type": "body", "parameters": variables})
    for index, payload in enumerate(template.payloads):
        components.append(
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": str(index),
                "parameters": [{"type": "payload", "payload": payload}],
            }
        )
    body: _Json = {"name": template.name, "language": {"code": template.language}}
    if components:
        body["components"] = components
    return body
