"""Reads the usual webhook in one go: one text or one status in just the shape that Meta documents.

Nearly every webhook is that. Decoding the shape alone takes half the time of looking at each value; whatever differs
in the least is left to `codec`, which reads it carefully. A test compares the two.
"""

import re
from typing import Final, Literal

import msgspec
from msgspec import Struct

from flows.dialog.events import Heard
from flows.values.ids import ItemId, Wamid
from flows.values.phone import country_of
from handlers.events import Sender
from handlers.whatsapp.loose import BSUID, ID_CHARS_MAX, ITEM, NAME_CHARS_MAX
from handlers.whatsapp.webhook_values import Parsed, Status, Webhook


class _Metadata(Struct, frozen=True):
    phone_number_id: str


class _Profile(Struct, frozen=True):
    name: str = ""
    username: str = ""


class _Contact(Struct, frozen=True):
    profile: _Profile = _Profile()  # left out beside statuses
    wa_id: str = ""
    user_id: str = ""


class _TextBody(Struct, frozen=True):
    body: str


class _UsualMessage(Struct, frozen=True, rename={"sent_by": "from"}):
    id: str
    timestamp: str
    type: Literal["text"]
    text: _TextBody
    sent_by: str = ""
    from_user_id: str = ""
    # Something else than a plain text, if they are there:
    context: None = None
    group_id: None = None
    referral: None = None


class _Pricing(Struct, frozen=True):
    category: str = ""
    type: str = ""


class _UsualStatus(Struct, frozen=True):
    id: str
    timestamp: str
    status: Literal["sent", "delivered", "read", "played"]
    recipient_id: str = ""
    recipient_user_id: str = ""
    biz_opaque_callback_data: str = ""
    pricing: _Pricing | None = None


class _Value(Struct, frozen=True):
    metadata: _Metadata
    contacts: list[_Contact] = []
    messages: list[_UsualMessage] = []
    statuses: list[_UsualStatus] = []
    errors: None = None


class _Change(Struct, frozen=True):
    value: _Value
    field: Literal["messages"]


class _Entry(Struct, frozen=True):
    changes: list[_Change]


class _Envelope(Struct, frozen=True):
    object: Literal["whatsapp_business_account"]
    entry: list[_Entry]


_usual_decoder: Final = msgspec.json.Decoder(_Envelope)
_PLAIN_ID: Final = re.compile(r"[!-~]{1,512}")
_SECONDS: Final = re.compile(r"[1-3][0-9]{9}")
_WA_ID: Final = re.compile(r"[0-9]{5,20}")


def read_usual(body: bytes) -> Webhook | None:
    """What it says; None for any other."""
    if b"\\u0000" in body:
        return None
    try:
        envelope = _usual_decoder.decode(body)
        [entry] = envelope.entry
        [change] = entry.changes
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    value = change.value
    number = value.metadata.phone_number_id
    if not _PLAIN_ID.fullmatch(number):
        return None
    if len(value.messages) == 1 and not value.statuses and len(value.contacts) == 1:
        message = _usual_message(value.messages[0], value.contacts[0], number)
        return None if message is None else Webhook([message], [], [])
    if len(value.statuses) == 1 and not value.messages:
        status = _usual_status(value.statuses[0], number)
        return None if status is None else Webhook([], [status], [])
    return None


def _usual_message(message: _UsualMessage, contact: _Contact, number: str) -> Parsed | None:
    wa_id, bsuid, name = message.sent_by, message.from_user_id, contact.profile.name
    if (
        not (wa_id or bsuid)
        or contact.wa_id != wa_id
        or contact.user_id != bsuid
        or (wa_id and not _WA_ID.fullmatch(wa_id))
        or (bsuid and not BSUID.fullmatch(bsuid))
        or len(name) > NAME_CHARS_MAX
        or len(contact.profile.username) > NAME_CHARS_MAX
        or not message.text.body
        or not _PLAIN_ID.fullmatch(message.id)
        or not _SECONDS.fullmatch(message.timestamp)
    ):
        return None
    sender = Sender(wa_id=wa_id, bsuid=bsuid, name=name, username=contact.profile.username)
    heard = Heard(
        id=Wamid(message.id), at=int(message.timestamp), kind="text", text=message.text.body
    )
    return Parsed(number, sender, heard)


def _usual_status(status: _UsualStatus, number: str) -> Status | None:
    item, pricing = status.biz_opaque_callback_data, status.pricing or _Pricing()
    if (
        not _PLAIN_ID.fullmatch(status.id)
        or not _SECONDS.fullmatch(status.timestamp)
        or (item and not (len(item) <= ID_CHARS_MAX and ITEM.fullmatch(item)))
        or len(pricing.category) > NAME_CHARS_MAX
        or len(pricing.type) > NAME_CHARS_MAX
    ):
        return None
    return Status(
        phone_number_id=number,
        wamid=Wamid(status.id),
        status=status.status,
        at=int(status.timestamp),
        item=ItemId(item),
        category=pricing.category,
        price_type=pricing.type,
        country=country_of(status.recipient_id) or country_of(status.recipient_user_id),
    )
