"""Bodies as Meta posts them. Numbers and ids are made up."""

import hashlib
import hmac
import json

PHONE = "56987654321"
BSUID = "CL.13491208655302741918"
NUMBER = "106540352242922"
WABA = "102290129340398"
WAMID = "wamid.HBgLNTY5ODc2NTQzMjEVAgASGBQzQTdCNUJENDY5QjNFMEJENDU4NAA="
WROTE = 1_795_392_000
SECRET = "a-meta-app-secret"

Json = dict[str, object]


def contact(**over: object) -> Json:
    return {"profile": {"name": "María"}, "wa_id": PHONE, "user_id": BSUID} | over


def message(kind: str = "text", body: object = None, /, **over: object) -> Json:
    """A message of a type; its body stands under the type's own key."""
    if kind == "text" and body is None:
        body = {"body": "hola"}
    common: Json = {
        "from": PHONE,
        "from_user_id": BSUID,
        "id": WAMID,
        "timestamp": str(WROTE),
        "type": kind,
    }
    return common | ({} if body is None else {kind: body}) | over


def status(**over: object) -> Json:
    common: Json = {
        "id": "wamid.OUT",
        "status": "delivered",
        "timestamp": str(WROTE),
        "recipient_id": PHONE,
        "biz_opaque_callback_data": "wa/c1:7-0",
    }
    return common | over


def value(
    *,
    messages: object = None,
    statuses: object = None,
    contacts: object = None,
    number: object = NUMBER,
) -> Json:
    parts: Json = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "56911112222", "phone_number_id": number},
    }
    if messages is not None:
        parts |= {"contacts": [contact()] if contacts is None else contacts, "messages": messages}
    if statuses is not None:
        parts["statuses"] = statuses
    return parts


def change(value: object, field: object = "messages") -> Json:
    return {"field": field, "value": value}


def entry(*changes: object) -> Json:
    return {"id": WABA, "changes": list(changes)}


def envelope(*entries: object) -> bytes:
    return json.dumps({"object": "whatsapp_business_account", "entry": list(entries)}).encode()


def webhook(
    *,
    messages: object = None,
    statuses: object = None,
    contacts: object = None,
    number: object = NUMBER,
) -> bytes:
    """One entry with one change."""
    parts = value(messages=messages, statuses=statuses, contacts=contacts, number=number)
    return envelope(entry(change(parts)))


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
