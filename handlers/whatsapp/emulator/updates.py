"""Webhook bodies as Meta v26.0 shapes them: one update each, and envelopes that hold several.

Source: Cloud API, "messages webhook reference", "Business-scoped user IDs".
"""

import base64
import hashlib
from collections.abc import Container, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from handlers.whatsapp.emulator.content import (
    Card,
    Filled,
    Medium,
    Picture,
    Place,
    QuickReply,
    Reaction,
    SharedPhone,
    Sticker,
    Tapped,
    Text,
    Unsupported,
    Voice,
)
from handlers.whatsapp.emulator.errors import title_of
from handlers.whatsapp.emulator.media import StoredMedium
from handlers.whatsapp.emulator.world import (
    FREE_ENTRY_MS,
    Mark,
    Message,
    Number,
    NumberId,
    Person,
    PersonId,
    Status,
)

JSON = dict[str, object]
UPDATES_MAX: Final = 1_000  # Meta: in one webhook
# Meta: pricing comes with `sent` and one of delivered and read.
PRICED_AT: Final[frozenset[Status]] = frozenset(("sent", "delivered"))
PRICED_LATE: Final[frozenset[Status]] = frozenset(("sent", "read"))


Field = Literal["messages", "smb_message_echoes", "user_preferences"]


class Update(Struct, frozen=True, kw_only=True):
    """One message or one status, on its way to the bot."""

    number: NumberId
    person: PersonId
    wamid: str
    is_status: bool
    item: JSON
    contact: JSON | None
    """None where Meta leaves `contacts` out."""
    field: Field = "messages"


def heard(
    message: Message, *, number: Number, person: Person, medium: StoredMedium | None = None
) -> Update:
    """A person's message, with the file that came with it."""
    item: JSON = {"id": message.wamid, "timestamp": _seconds(message.at_ms)}
    if person.visible_wa_id:
        item["from"] = person.visible_wa_id
    item["from_user_id"] = person.bsuid(number.portfolio_id)
    if message.quotes:
        item["context"] = {"from": _digits(number.display_phone), "id": message.quotes}
    if message.ad:
        item["referral"] = _REFERRAL
    item.update(_body(message, medium))
    return Update(
        number=number.id,
        person=person.id,
        wamid=message.wamid,
        is_status=False,
        item=item,
        contact=_contact(person, number, names=True),
    )


def corrected(
    message: Message,
    *,
    wamid: str,
    number: Number,
    person: Person,
    now_ms: int,
    medium: StoredMedium | None = None,
) -> Update:
    """A message was changed, or taken back, by whoever wrote it."""
    if message.changed == "revoked":
        what: JSON = {"type": "revoke", "revoke": {"original_message_id": message.wamid}}
    else:
        now = _body(message, medium)
        what = {"type": "edit", "edit": {"original_message_id": message.wamid, "message": now}}
    item: JSON = {"id": wamid, "timestamp": _seconds(now_ms), **what}
    if message.by_hand:
        item |= _from_the_firm(number, person)
        return _update(item, number, person, field="smb_message_echoes", contact=None)
    if person.visible_wa_id:
        item["from"] = person.visible_wa_id
    item["from_user_id"] = person.bsuid(number.portfolio_id)
    return _update(item, number, person, contact=_contact(person, number, names=True))


def echo(
    message: Message, *, number: Number, person: Person, medium: StoredMedium | None = None
) -> Update:
    """Somebody of the business wrote from the WhatsApp Business app."""
    item: JSON = {
        "id": message.wamid,
        "timestamp": _seconds(message.at_ms),
        **_body(message, medium),
    }
    item |= _from_the_firm(number, person)
    return _update(item, number, person, field="smb_message_echoes", contact=None)


def preference(
    *, wants_offers: bool, wamid: str, number: Number, person: Person, now_ms: int
) -> Update:
    """The person stops the offers of this business in WhatsApp's settings, or lets them come again."""
    item: JSON = {
        "user_id": person.bsuid(number.portfolio_id),
        "detail": "User requested to resume marketing messages"
        if wants_offers
        else "User requested to stop marketing messages",
        "category": "marketing_messages",
        "value": "resume" if wants_offers else "stop",
        "timestamp": now_ms // 1000,
    }
    if person.visible_wa_id:
        item["wa_id"] = person.visible_wa_id
    update = _update(
        item,
        number,
        person,
        field="user_preferences",
        contact=_contact(person, number, names=True),
    )
    return msgspec.structs.replace(update, wamid=wamid)


MoveKind = Literal["number", "user_id", "identity"]


def moved(
    kind: MoveKind, old: Person, new: Person, *, wamid: str, number: Number, now_ms: int
) -> Update:
    """A person has another number, another BSUID, or another device."""
    portfolio = number.portfolio_id
    item: JSON = {"id": wamid, "timestamp": _seconds(now_ms), "type": "system"}
    ids: JSON = {"user_id": new.bsuid(portfolio), "previous_user_id": old.bsuid(portfolio)}
    system: JSON
    if kind == "number":
        item["from_user_id"] = old.bsuid(portfolio)
        system = {"type": "user_changed_number", "body": "…", **ids}
        if old.visible_wa_id:
            item["from"] = old.wa_id
            system["wa_id"] = new.wa_id
    elif kind == "user_id":
        # Meta: neither the phone nor the old id stands in its usual place.
        system = {"type": "user_changed_user_id", "body": "…", **ids}
    else:
        item["from_user_id"] = new.bsuid(portfolio)
        system = {"type": "customer_identity_changed", "body": "…", "identity": wamid[-12:]}
        if new.visible_wa_id:
            item["from"] = system["customer"] = new.wa_id
    return _update({**item, "system": system}, number, new, contact=None)


def _from_the_firm(number: Number, person: Person) -> JSON:
    to = {"to": person.visible_wa_id} if person.visible_wa_id else {}
    return {
        "from": _digits(number.display_phone),
        **to,
        "to_user_id": person.bsuid(number.portfolio_id),
    }


def _update(
    item: JSON, number: Number, person: Person, *, contact: JSON | None, field: Field = "messages"
) -> Update:
    return Update(
        number=number.id,
        person=person.id,
        wamid=str(item.get("id", "")),
        is_status=False,
        item=item,
        contact=contact,
        field=field,
    )


def status(
    message: Message,
    mark: Mark,
    *,
    number: Number,
    person: Person,
    priced_at: Container[Status] = PRICED_AT,
    billable: bool = True,
) -> Update:
    """A step of one of our messages.

    Args:
        priced_at: the steps that tell the price.
        billable: whether the price says so in a word of its own, which Meta will leave out.
    """
    bsuid = person.bsuid(number.portfolio_id)
    failed = mark.status == "failed"
    item: JSON = {"id": message.wamid, "status": mark.status, "timestamp": _seconds(mark.at_ms)}
    if person.visible_wa_id or message.to_phone:
        item["recipient_id"] = person.wa_id
    # Meta: a failed message that was sent to a phone does not tell the user id.
    if not (failed and message.to_phone):
        item["recipient_user_id"] = bsuid
    if message.opaque:
        item["biz_opaque_callback_data"] = message.opaque
    if failed:
        item["errors"] = [_error(mark.code)]
    if message.price is not None and mark.status in priced_at:
        pricing = msgspec.to_builtins(message.price) | {"pricing_model": "PMP"}
        if not billable:
            del pricing["billable"]
        item["pricing"] = pricing
        if message.free_entry:
            item["conversation"] = {
                "id": hashlib.sha256(f"{number.id}/{person.id}".encode()).hexdigest()[:32],
                "origin": {"type": "referral_conversion"},
                "expiration_timestamp": _seconds(message.at_ms + FREE_ENTRY_MS),
            }
    return Update(
        number=number.id,
        person=person.id,
        wamid=message.wamid,
        is_status=True,
        item=item,
        # Meta: `contacts` is left out of a failed status, and names out of `sent`.
        contact=None if failed else _contact(person, number, names=mark.status != "sent"),
    )


def envelope(number: Number, updates: Sequence[Update]) -> bytes:
    """The body of one webhook.

    Messages share a value, with each contact once and not in the order of the messages, as Meta warns; every
    status of such a batch is a change of its own.
    """
    assert 0 < len(updates) <= UPDATES_MAX
    values: list[tuple[Field, JSON]] = []
    for field, items in _ITEMS.items():
        told = [update for update in updates if not update.is_status and update.field == field]
        if told:
            named = {update.person: update.contact for update in reversed(told)}
            contacts = [contact for contact in named.values() if contact is not None]
            value: JSON = {"contacts": contacts} if contacts else {}
            values.append((field, {**value, items: [update.item for update in told]}))
    for update in updates:
        if update.is_status:
            contact = {} if update.contact is None else {"contacts": [update.contact]}
            values.append(("messages", {**contact, "statuses": [update.item]}))
    metadata = {
        "display_phone_number": _digits(number.display_phone),
        "phone_number_id": number.id,
    }
    changes = [
        {
            "field": field,
            "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
        }
        for field, value in values
    ]
    body = {
        "object": "whatsapp_business_account",
        "entry": [{"id": number.waba_id, "changes": changes}],
    }
    return msgspec.json.encode(body)


def _body(message: Message, medium: StoredMedium | None) -> JSON:
    match message.content:
        case Text(body):
            return {"type": "text", "text": {"body": body}}
        case Tapped(kind, key, title, description):
            reply = {"id": key, "title": title} | (
                {"description": description} if description else {}
            )
            return {"type": "interactive", "interactive": {"type": kind, kind: reply}}
        case QuickReply(payload, text):
            return {"type": "button", "button": {"payload": payload, "text": text}}
        case Picture(caption):
            return {"type": "image", "image": _medium(medium) | _given(caption=caption)}
        case Voice():
            return {"type": "audio", "audio": _medium(medium) | {"voice": True}}
        case Sticker():
            return {"type": "sticker", "sticker": _medium(medium) | {"animated": False}}
        case Medium(kind, _, caption, name, voice):
            more = {"voice": voice} if kind == "audio" else {}
            named = _given(caption=caption, filename=name if kind == "document" else "")
            return {"type": kind, kind: _medium(medium) | named | more}
        case Place(latitude, longitude, name, address):
            return {
                "type": "location",
                "location": {"latitude": latitude, "longitude": longitude}
                | _given(name=name, address=address),
            }
        case Card(name, phone):
            card = {
                "name": {"formatted_name": name, "first_name": name},
                "phones": [
                    {"phone": f"+{_digits(phone)}", "wa_id": _digits(phone), "type": "CELL"}
                ],
            }
            return {"type": "contacts", "origin": "other", "contacts": [card]}
        case Reaction(wamid, emoji):
            return {
                "type": "reaction",
                "reaction": {"message_id": wamid} | ({"emoji": emoji} if emoji else {}),
            }
        case Unsupported(kind):
            return {
                "type": "unsupported",
                "errors": [_error(131051)],
                "unsupported": {"type": kind},
            }
        case SharedPhone(phone):
            shared = {"phones": [{"phone": f"+{phone}", "wa_id": phone}]}
            # Meta: the person's answer to a request names nobody, and says where it comes from.
            return {"type": "contacts", "origin": "contact_request", "contacts": [shared]}
        case Filled(token, values):
            told = {"flow_token": token} if token else {}
            response = msgspec.json.encode({**values, **told}).decode()
            reply = {"name": "flow", "body": "Sent", "response_json": response}
            return {"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": reply}}
        case _:
            raise AssertionError("only a business says that")


def _contact(person: Person, number: Number, *, names: bool) -> JSON:
    contact: JSON = {"user_id": person.bsuid(number.portfolio_id)}
    if person.visible_wa_id:
        contact["wa_id"] = person.visible_wa_id
    if names:
        username = {"username": person.username} if person.username else {}
        contact["profile"] = {"name": person.name, **username}
    return contact


def _medium(medium: StoredMedium | None) -> JSON:
    assert medium is not None, "a bubble with a file has one"
    # Meta: in webhooks the digest is base64, in answers of the Graph API hex.
    digest = base64.b64encode(medium.sha256).decode()
    return {"id": medium.id, "mime_type": medium.mime, "sha256": digest}


def _given(**values: str) -> JSON:
    return {key: value for key, value in values.items() if value}


def _error(code: int) -> JSON:
    title = title_of(code)
    return {"code": code, "title": title, "message": title, "error_data": {"details": title}}


def _seconds(ms: int) -> str:
    return str(ms // 1000)


def _digits(phone: str) -> str:
    return "".join(filter(str.isdigit, phone))


_ITEMS: Final[dict[Field, str]] = {
    "messages": "messages",
    "smb_message_echoes": "message_echoes",
    "user_preferences": "user_preferences",
}

_REFERRAL: Final = {
    "source_url": "https://fb.me/emulator",
    "source_id": "120200000000000000",
    "source_type": "ad",
    "headline": "Panadería Sol",
    "body": "Pan recién horneado",
    "media_type": "image",
    "image_url": "https://example.com/ad.jpg",
    "ctwa_clid": "emulator",
}
