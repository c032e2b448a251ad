"""Reads the bodies of Meta's webhooks: every entry, change, message and status, in order.

Meta batches up to 1,000 updates in a body and changes shapes without notice, so nothing is assumed of any
value: what cannot be read becomes a `Heard` of kind "unsupported" or a counted `Notice`, never an error, and
never harms its neighbours. Keys are not trusted either: a BSUID has been seen in `from` and in `wa_id`, so
addresses are told by their form.

Source: Meta, "Webhooks > messages", "Business-scoped user IDs" (v26.0).
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal, get_args

import msgspec
from msgspec import Raw, Struct

from flows.dialog.events import (
    NO_JSON,
    OVERSIZED,
    Attachment,
    Heard,
    HeardKind,
    Location,
    MediaKind,
    Order,
    OrderItem,
    Referral,
    SharedCard,
)
from flows.values.ids import NO_MESSAGE, ItemId, Wamid
from flows.values.phone import country_of
from handlers.care import Change
from handlers.events import MovedWhy, Sender

DEPTH_MAX: Final = 64  # deepest nesting that we read; Meta's own payloads stay under 16
ID_CHARS_MAX: Final = (
    512  # Meta's own limit for biz_opaque_callback_data; its other ids are shorter
)
NAME_CHARS_MAX: Final = 256
WORDS_CHARS_MAX: Final = 1_024  # of an ad; WhatsApp shows less
CARDS_MAX: Final = (
    50  # contacts of a message, lines of an order; ours: what a person sends is far below
)
PHONES_MAX: Final = 10  # of a contact
NOTICES_MAX: Final = 100  # kept of one body; the rest says only how many
CHANGE_BYTES_MAX: Final = 32 * 1024  # of the value of one change; Meta's own stay under 4 KB
TOO_LARGE: Final = 131052  # Meta: the file was over 100 MB

BSUID: Final = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_PHONE: Final = re.compile(r"\+?([0-9]{5,20})")
_ITEM: Final = re.compile(r"[a-z]+/[^\s:]+:[0-9]+-[0-9]+")
_WORD: Final = re.compile(r"[A-Za-z_]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")

_MS_FROM: Final = 100_000_000_000  # a timestamp above this is in ms (seconds reach it in year 5138)
_AT_MAX: Final = 4_102_444_800  # 2100-01-01

FIELDS: Final = frozenset({
    "account_alerts", "account_review_update", "account_update", "automatic_events", "business_capability_update",
    "business_username_update", "business_username_updates", "calls", "flows", "group_lifecycle_update",
    "group_participants_update", "group_settings_update", "group_status_update", "history",
    "message_template_components_update", "message_template_quality_update", "message_template_status_update",
    "partner_solutions", "payment_configuration_update", "phone_number_name_update", "phone_number_quality_update",
    "security", "smb_app_state_sync", "smb_message_echoes", "template_category_update", "user_preferences",
})  # fmt: skip
"""The webhook fields besides `messages` that Meta documents. Another one is counted as `other_field`."""

# Fields that are about people, not about accounts: they are no `Change`.
_OF_PEOPLE: Final = frozenset({
    "calls", "group_lifecycle_update", "group_participants_update", "group_settings_update", "group_status_update",
    "history", "smb_app_state_sync", "smb_message_echoes", "user_preferences",
})  # fmt: skip

StatusKind = Literal["sent", "delivered", "read", "played", "failed"]

_Object = Mapping[str, object]
_Contacts = dict[str, Sender]


class MalformedError(ValueError):
    """The body is not JSON, however kindly read."""


class Parsed(Struct, frozen=True):
    """One message, and the number that it was sent to."""

    phone_number_id: str
    sender: Sender
    heard: Heard


class Status(Struct, frozen=True):
    """One delivery status. The fields are those of `handlers.journal.StatusSeen`."""

    phone_number_id: str
    wamid: Wamid
    status: StatusKind
    at: int
    item: ItemId = ItemId("")
    category: str = ""
    price_type: str = ""
    code: int = 0
    country: str = ""


class Move(Struct, frozen=True):
    """Somebody changed their number, their BSUID or their device."""

    phone_number_id: str
    id: Wamid
    sender: Sender
    """Under the addresses that they had."""
    why: MovedWhy
    at: int
    phone: str = ""
    """The new wa_id, if it was told."""


class Preference(Struct, frozen=True):
    """Somebody stopped offers, or let them come again, in WhatsApp's own settings."""

    phone_number_id: str
    """Empty when only the account is named: then it holds for all its numbers."""
    waba_id: str
    sender: Sender
    marketing: bool
    at: int


class Notice(Struct, frozen=True):
    """Something that is counted and logged."""

    name: str
    """A webhook field of `FIELDS`, or what was wrong with an item; a closed vocabulary."""
    waba_id: str = ""
    event: str = ""
    """Meta's word for what happened, e.g. DISABLED_UPDATE; empty if it was not a plain word."""


class Webhook(Struct, frozen=True):
    """What one body said."""

    messages: list[Parsed]
    statuses: list[Status]
    notices: list[Notice]
    changes: list[Change] = []
    echoes: list[Parsed] = []
    """What the firm's own people wrote from the app; `sender` is the person they wrote to."""
    moves: list[Move] = []
    preferences: list[Preference] = []


def parse(body: bytes) -> Webhook:
    """Read one webhook body. Its signature has been verified: this is Meta speaking.

    Raises:
        MalformedError: it is not JSON.
    """
    return _usual(body) or _careful(body)


def _careful(body: bytes) -> Webhook:
    """Whatever Meta, or a gateway before us, made of it."""
    webhook = Webhook([], [], [], [], [], [])
    envelope = _decode(body)
    if not isinstance(envelope, dict) or envelope.get("object") != "whatsapp_business_account":
        _note(webhook, "other_object")
        return webhook
    for entry in _objects(envelope.get("entry"), webhook):
        waba_id = _id(entry.get("id"))
        at = _at(entry.get("time"))
        for change in _objects(entry.get("changes"), webhook):
            value = change.get("value")
            field = change.get("field")
            if field is None:
                # Where Meta's own examples have it, now and then.
                field = _get(value, "field") or entry.get("field")
            if field == "smb_message_echoes" and _get(value, "message_echoes"):
                _read_echoes(value, webhook, waba_id=waba_id)
            elif field == "user_preferences" and _get(value, "user_preferences"):
                _read_preferences(value, webhook, waba_id=waba_id)
            elif field != "messages":
                name = field if isinstance(field, str) and field in FIELDS else "other_field"
                _note(webhook, name, waba_id=waba_id, event=_event(value))
                if name not in _OF_PEOPLE:
                    webhook.changes.append(_changed_account(field, value, waba_id=waba_id, at=at))
            elif isinstance(value, dict):
                _read_messages(value, webhook, waba_id=waba_id)
            else:
                _note(webhook, "bad_value", waba_id=waba_id)
    return webhook


def _read_messages(value: _Object, webhook: Webhook, *, waba_id: str) -> None:
    number = _id(_get(value.get("metadata"), "phone_number_id"))
    if not number:
        _note(webhook, "no_number", waba_id=waba_id)
        return
    if messages := value.get("messages"):
        contacts = _by_address(value.get("contacts"))
        for message in _objects(messages, webhook, waba_id=waba_id):
            if (why := _moved(message)) is not None:
                move = _move(message, number, why)
                if move is None:
                    _note(webhook, "moved_from_nowhere", waba_id=waba_id)
                else:
                    webhook.moves.append(move)
                continue
            read = _message(message, _sender(message, contacts))
            if isinstance(read, str):
                _note(webhook, read, waba_id=waba_id)
            else:
                _note_type(webhook, message, waba_id=waba_id)
                webhook.messages.append(Parsed(number, *read))
    if statuses := value.get("statuses"):
        for status in _objects(statuses, webhook, waba_id=waba_id):
            seen = _status(status, number)
            if isinstance(seen, str):
                _note(webhook, seen, waba_id=waba_id)
            else:
                webhook.statuses.append(seen)
    if value.get("errors"):
        _note(webhook, "errors", waba_id=waba_id)


def _changed_account(field: object, value: object, *, waba_id: str, at: int) -> Change:
    """For whoever takes care of accounts to read: `handlers/whatsapp/changes.py`."""
    told = msgspec.json.encode(value, order="deterministic")
    return Change(
        account=waba_id,
        field=field if isinstance(field, str) and _WORD.fullmatch(field) else "other",
        # Without its value it still says that something has changed.
        value=Raw(told if len(told) <= CHANGE_BYTES_MAX else b"null"),
        at=at,
    )


def _read_echoes(value: object, webhook: Webhook, *, waba_id: str) -> None:
    """What the firm wrote from the WhatsApp Business app: messages as any other, but for `to`."""
    number = _id(_get(_get(value, "metadata"), "phone_number_id"))
    if not number:
        _note(webhook, "no_number", waba_id=waba_id)
        return
    contacts = _by_address(_get(value, "contacts"))
    for message in _objects(_get(value, "message_echoes"), webhook, waba_id=waba_id):
        named = (message.get("to"), message.get("to_user_id"), message.get("recipient_user_id"))
        read = _message(message, _known(*_address(named), contacts))
        if isinstance(read, str):
            _note(webhook, read, waba_id=waba_id)
        else:
            _note_type(webhook, message, waba_id=waba_id)
            webhook.echoes.append(Parsed(number, *read))


def _read_preferences(value: object, webhook: Webhook, *, waba_id: str) -> None:
    number = _id(_get(_get(value, "metadata"), "phone_number_id"))
    contacts = _by_address(_get(value, "contacts"))
    for told in _objects(_get(value, "user_preferences"), webhook, waba_id=waba_id):
        sender = _known(*_address((told.get("wa_id"), told.get("user_id"))), contacts)
        word = told.get("value")
        if told.get("category") != "marketing_messages" or word not in ("stop", "resume"):
            _note(webhook, "other_preference", waba_id=waba_id)
        elif sender is None or not (number or waba_id):
            _note(webhook, "preference_of_nobody", waba_id=waba_id)
        else:
            webhook.preferences.append(
                Preference(number, waba_id, sender, word == "resume", _at(told.get("timestamp")))
            )


# ------------------------------------------------------------------ messages


def _message(message: _Object, sender: Sender | None) -> tuple[Sender, Heard] | str:
    """The sender and what they said, or the name of the notice that says why there is none."""
    wamid = Wamid(_id(message.get("id")))
    if not wamid:
        return "message_without_id"
    if message.get("group_id"):
        # An answer would go to the person in private, who spoke to a group.
        return "group_message"
    kind = message.get("type")
    kind = kind if isinstance(kind, str) else ""
    if sender is None:
        return "message_without_sender"
    said = _read(message, kind)
    if said is None:
        too_large = any(_int(_get(e, "code")) == TOO_LARGE for e in _list(message.get("errors")))
        named = kind if _WORD.fullmatch(kind) else "unknown"
        said = _Said("unsupported", text=OVERSIZED if too_large else named)
    heard = Heard(
        id=wamid,
        at=_at(message.get("timestamp")),
        kind=said.kind,
        text=said.text,
        choice=said.choice,
        reply_to=said.reply_to or _context(message),
        media=said.media,
        place=said.place,
        phone=said.phone,
        form=said.form,
        referral=_referral(message.get("referral")),
        order=said.order,
        cards=said.cards,
        about=_id(_get(_get(message.get("context"), "referred_product"), "product_retailer_id")),
        forwarded=_is_forwarded(message),
    )
    return sender, heard


def _read(message: _Object, kind: str) -> "_Said | None":
    reader = _READERS.get(kind)
    return reader(message, message.get(kind)) if reader is not None else None


def _note_type(webhook: Webhook, message: _Object, *, waba_id: str) -> None:
    """A type that nobody told us of is kept as unsupported, and counted."""
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _READERS:
        word = kind if isinstance(kind, str) and _WORD.fullmatch(kind) else ""
        _note(webhook, "other_type", waba_id=waba_id, event=word)


class _Said(Struct, frozen=True):
    """The part of a `Heard` that depends on the message's type."""

    kind: HeardKind
    text: str = ""
    choice: str = ""
    reply_to: Wamid = NO_MESSAGE
    media: Attachment | None = None
    place: Location | None = None
    phone: str = ""
    form: Raw = NO_JSON
    order: Order | None = None
    cards: tuple[SharedCard, ...] = ()


# Reads the body of one type of message: (the whole message, the value under the type's own key).
# None = it cannot be read, so the message is told as unsupported under its type's name.
_Reader = Callable[[_Object, object], _Said | None]


def _text(_message: _Object, body: object) -> _Said | None:
    text = _str(_get(body, "body"))
    return _Said("text", text=text) if text else None


def _media(message: _Object, body: object) -> _Said | None:
    media_id = _id(_get(body, "id"))
    if not media_id:
        return None  # Meta could not fetch it (131052), or it was over 100 MB
    kind: MediaKind
    match message.get("type"):
        case "image":
            kind = "image"
        case "video":
            kind = "video"
        case "document":
            kind = "document"
        case "sticker":
            kind = "sticker"
        case _:
            kind = "voice" if _get(body, "voice") is True else "audio"
    attachment = Attachment(
        kind=kind,
        id=media_id,
        mime=_short(_get(body, "mime_type")),
        name=_short(_get(body, "filename")),
        sha256=_short(_get(body, "sha256")),
    )
    return _Said("media", text=_str(_get(body, "caption")), media=attachment)


def _location(_message: _Object, body: object) -> _Said | None:
    latitude = _degrees(_get(body, "latitude"), 90.0)
    longitude = _degrees(_get(body, "longitude"), 180.0)
    if latitude is None or longitude is None:
        return None
    place = Location(
        latitude=latitude,
        longitude=longitude,
        name=_str(_get(body, "name")),
        address=_str(_get(body, "address")),
    )
    return _Said("place", place=place)


def _contacts(message: _Object, body: object) -> _Said | None:
    cards = [card for card in _list(body) if isinstance(card, dict)]
    if not cards:
        return None
    # Meta's page shows it beside the cards, its changelog in each of them.
    requested = message.get("origin") == "contact_request"
    shared = tuple(_card(card) for card in cards[:CARDS_MAX])
    for card in cards:
        # Any other card may be anybody's: only WhatsApp's own answer to a request is the sender's phone.
        if requested or card.get("origin") == "contact_request":
            for phone in _list(card.get("phones")):
                for key in ("wa_id", "phone"):
                    if number := _PHONE.fullmatch(re.sub(r"[ ().-]", "", _id(_get(phone, key)))):
                        return _Said("contacts", phone=number[1], cards=shared)
    return _Said("contacts", cards=shared)


def _card(card: _Object) -> SharedCard:
    name = card.get("name")
    phones = [
        _short(_get(phone, "phone")) or _short(_get(phone, "wa_id"))
        for phone in _list(card.get("phones"))[:PHONES_MAX]
    ]
    return SharedCard(
        name=_short(_get(name, "formatted_name")) or _short(_get(name, "first_name")),
        phones=tuple(phone for phone in phones if phone),
    )


def _interactive(_message: _Object, body: object) -> _Said | None:
    match _get(body, "type"):
        case "button_reply":
            return _chosen("tap", _get(body, "button_reply"))
        case "list_reply":
            return _chosen("row", _get(body, "list_reply"))
        case "nfm_reply":
            return _form(_get(body, "nfm_reply"))
        case str(other) if _WORD.fullmatch(other):
            return _Said("unsupported", text=other)
        case _:
            return None


def _chosen(kind: HeardKind, reply: object) -> _Said | None:
    choice = _str(_get(reply, "id"))
    return _Said(kind, choice=choice, text=_str(_get(reply, "title"))) if choice else None


def _form(reply: object) -> _Said | None:
    response = _get(reply, "response_json")
    if isinstance(response, str):
        try:
            response = _decode(response.encode())
        except MalformedError:
            return None
    if not isinstance(response, dict):
        return None
    form = Raw(msgspec.json.encode(response))
    return _Said("form", text=_str(_get(reply, "body")), form=form)


def _button(_message: _Object, body: object) -> _Said | None:
    text = _str(_get(body, "text"))
    choice = _str(_get(body, "payload")) or text  # Meta: the payload defaults to the label
    return _Said("tap", choice=choice, text=text) if choice else None


def _order(_message: _Object, body: object) -> _Said | None:
    if not isinstance(body, dict):
        return None
    lines = [
        OrderItem(
            product=product,
            quantity=_int(_get(item, "quantity")),
            price=_short(_get(item, "item_price")),
            currency=_short(_get(item, "currency")),
        )
        for item in _list(body.get("product_items"))[:CARDS_MAX]
        if (product := _id(_get(item, "product_retailer_id")))
    ]
    order = Order(catalogue=_id(body.get("catalog_id")), items=tuple(lines))
    return _Said("order", text=_str(body.get("text")), order=order)


def _reaction(_message: _Object, body: object) -> _Said | None:
    about = Wamid(_id(_get(body, "message_id")))
    return _Said("reaction", text=_str(_get(body, "emoji")), reply_to=about) if about else None


def _system(_message: _Object, body: object) -> _Said | None:
    what = _get(body, "type")
    named = isinstance(what, str) and _WORD.fullmatch(what)
    return _Said("system", text=str(what)) if named else None


def _welcome(_message: _Object, _body: object) -> _Said | None:
    return _Said("welcome")


def _unsupported(_message: _Object, body: object) -> _Said | None:
    what = _get(body, "type")
    named = isinstance(what, str) and _WORD.fullmatch(what)
    return _Said("unsupported", text=str(what) if named else "unknown")


# Edits and revokes reach numbers that are used in the WhatsApp Business app, too.


def _edit(_message: _Object, body: object) -> _Said | None:
    original = Wamid(_id(_get(body, "original_message_id")))
    now = _get(body, "message")
    if not original or not isinstance(now, dict):
        return None
    kind = now.get("type")
    if not isinstance(kind, str) or kind not in _EDITED:
        kind = next((each for each in _EDITED if each in now), "")
    said = _read({**now, "type": kind}, kind)
    if said is None:
        # A caption may come without the file that it belongs to.
        caption = _str(_get(now.get(kind), "caption"))
        said = _Said("media", text=caption) if caption else None
    if said is None:
        return None
    return _Said("edit", text=said.text, reply_to=original, media=said.media)


def _revoke(_message: _Object, body: object) -> _Said | None:
    original = Wamid(_id(_get(body, "original_message_id")))
    return _Said("revoke", reply_to=original) if original else None


# What WhatsApp lets people edit: words and captions.
_EDITED: Final = ("text", "image", "video", "document")


def _referral(value: object) -> Referral | None:
    if not isinstance(value, dict):
        return None

    def words(key: str) -> str:
        return _str(value.get(key))[:WORDS_CHARS_MAX]

    welcome = _str(_get(value.get("welcome_message"), "text"))[:WORDS_CHARS_MAX]
    return Referral(
        source=_short(value.get("source_type")),
        id=_id(value.get("source_id")),
        url=words("source_url"),
        headline=words("headline"),
        body=words("body"),
        click=words("ctwa_clid"),
        welcome=welcome,
    )


_READERS: Final[dict[str, _Reader]] = {
    "text": _text,
    "image": _media,
    "audio": _media,
    "video": _media,
    "document": _media,
    "sticker": _media,
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
    "reaction": _reaction,
    "system": _system,
    "request_welcome": _welcome,
    "unsupported": _unsupported,
    "edit": _edit,
    "revoke": _revoke,
}


# ------------------------------------------------------------------ addresses


def _address(values: Iterable[object]) -> tuple[str, str]:
    """(wa_id, bsuid) found among the values, whatever their keys promised."""
    wa_id = bsuid = ""
    for value in values:
        text = _id(value)
        if not text:
            continue
        if not wa_id and (phone := _PHONE.fullmatch(text)):
            wa_id = phone[1]
        elif not bsuid and BSUID.fullmatch(text):
            bsuid = text
    return wa_id, bsuid


def _by_address(contacts: object) -> _Contacts:
    """`contacts` is not aligned with `messages` in a batch: a contact is found by address only."""
    found: _Contacts = {}
    for contact in _list(contacts):
        wa_id, bsuid = _address((_get(contact, "wa_id"), _get(contact, "user_id")))
        if not wa_id and not bsuid:
            continue
        profile = _get(contact, "profile")
        sender = Sender(
            wa_id=wa_id,
            bsuid=bsuid,
            name=_short(_get(profile, "name")),
            username=_short(_get(profile, "username")),
        )
        if bsuid:
            found[bsuid] = sender
        if wa_id:
            found[wa_id] = sender
    return found


def _sender(message: _Object, contacts: _Contacts) -> Sender | None:
    return _known(*_address((message.get("from"), message.get("from_user_id"))), contacts)


def _known(wa_id: str, bsuid: str, contacts: _Contacts) -> Sender | None:
    """The person at these addresses, with what the contacts of the same value tell of them."""
    contact = contacts.get(bsuid) or contacts.get(wa_id)
    if contact is None:
        return Sender(wa_id=wa_id, bsuid=bsuid) if wa_id or bsuid else None
    if (bsuid and contact.bsuid and bsuid != contact.bsuid) or (
        wa_id and contact.wa_id and wa_id != contact.wa_id
    ):
        # The two disagree about one of the addresses: the message knows best who wrote it.
        return Sender(wa_id=wa_id, bsuid=bsuid)
    if (wa_id, bsuid) == (contact.wa_id, contact.bsuid):
        return contact
    return Sender(
        wa_id=wa_id or contact.wa_id,
        bsuid=bsuid or contact.bsuid,
        name=contact.name,
        username=contact.username,
    )


# ------------------------------------------------------------------ changes of number, BSUID, device


_MOVES: Final[dict[str, MovedWhy]] = {
    "user_changed_number": "number",
    "customer_changed_number": "number",  # until 2026
    "user_changed_user_id": "user_id",
    "customer_identity_changed": "identity",
    "user_identity_changed": "identity",
}


def _moved(message: _Object) -> MovedWhy | None:
    if message.get("type") != "system":
        return None
    what = _get(message.get("system"), "type")
    return _MOVES.get(what) if isinstance(what, str) else None


def _move(message: _Object, number: str, why: MovedWhy) -> Move | None:
    """Whose addresses do not hold any more; None if the message does not say which they were.

    Number and BSUID change together, and numbers are recycled: a conversation never follows to a new address by this
    alone. A login does, once the new number is proved.
    """
    system = message.get("system")
    wamid = Wamid(_id(message.get("id")))
    new = {_id(_get(system, key)) for key in ("user_id", "wa_id", "new_wa_id", "parent_user_id")}
    old = [
        message.get("from"),
        message.get("from_user_id"),
        _get(system, "previous_user_id"),
        _get(system, "customer"),
    ]
    if why != "identity":
        old = [value for value in old if _id(value) not in new]
    wa_id, bsuid = _address(old)
    if not wamid or not (wa_id or bsuid):
        return None
    sender = Sender(wa_id=wa_id, bsuid=bsuid)
    wa_id, _ = _address([_get(system, "wa_id"), _get(system, "new_wa_id")])
    phone = wa_id if why == "number" else ""
    return Move(number, wamid, sender, why, _at(message.get("timestamp")), phone)


# ------------------------------------------------------------------ statuses


def _status(status: _Object, number: str) -> Status | str:
    wamid = Wamid(_id(status.get("id")))
    if not wamid:
        return "status_without_id"
    word = status.get("status")
    kind = _STATUSES.get(word) if isinstance(word, str) else None
    if kind is None:
        return "other_status"
    item = _id(status.get("biz_opaque_callback_data"))
    pricing = status.get("pricing")
    code = 0
    if kind == "failed":
        for error in _list(status.get("errors")):
            code = code or _int(_get(error, "code"))
    return Status(
        phone_number_id=number,
        wamid=wamid,
        status=kind,
        at=_at(status.get("timestamp")),
        item=ItemId(item if item and _ITEM.fullmatch(item) else ""),
        category=_short(_get(pricing, "category")) if pricing else "",
        price_type=_short(_get(pricing, "type")) if pricing else "",
        code=code,
        country=country_of(_id(status.get("recipient_id")))
        or country_of(_id(status.get("recipient_user_id"))),
    )


_STATUSES: Final[dict[str, StatusKind]] = {kind: kind for kind in get_args(StatusKind)}


# ------------------------------------------------------------------ values of any shape


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _objects(items: object, webhook: Webhook, *, waba_id: str = "") -> Iterator[_Object]:
    """The objects of a list; anything else in it, or in place of it, is noted."""
    if isinstance(items, dict):
        items = [items]  # a list of one, as some gateways write it
    if not isinstance(items, list):
        _note(webhook, "bad_value", waba_id=waba_id)
        return
    for item in items:
        if isinstance(item, dict):
            yield item
        else:
            _note(webhook, "bad_value", waba_id=waba_id)


def _str(value: object) -> str:
    if isinstance(value, str):
        return value
    # A number where a text belongs is still readable; a flag is not.
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _short(value: object) -> str:
    return _str(value)[:NAME_CHARS_MAX]


def _id(value: object) -> str:
    """An identifier: a short text without blanks, or a number; empty when it is neither."""
    if isinstance(value, str):
        return value if len(value) <= ID_CHARS_MAX and value.strip() == value else ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _int(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**15 else 0
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else 0


def _at(value: object) -> int:
    """Seconds since the epoch; 0 when Meta gave no time that makes sense, so that no window opens by it."""
    at = _int(value) if not isinstance(value, float) else int(value) if math.isfinite(value) else 0
    if at >= _MS_FROM:
        at //= 1000
    return at if 0 < at < _AT_MAX else 0


def _degrees(value: object, limit: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        degrees = float(value)
    except (ValueError, OverflowError):
        return None
    return degrees if abs(degrees) <= limit else None  # false for NaN


def _is_forwarded(message: _Object) -> bool:
    context = message.get("context")
    return any(_get(context, key) is True for key in ("forwarded", "frequently_forwarded"))


def _context(message: _Object) -> Wamid:
    return Wamid(_id(_get(message.get("context"), "id")))


def _event(value: object) -> str:
    event = _get(value, "event")
    return event if isinstance(event, str) and _WORD.fullmatch(event) else ""


def _note(webhook: Webhook, name: str, *, waba_id: str = "", event: str = "") -> None:
    if len(webhook.notices) < NOTICES_MAX:
        webhook.notices.append(Notice(name, waba_id=waba_id, event=event))


# ------------------------------------------------------------------ the usual

# Nearly every webhook is one text or one status in just the shape that Meta documents. Decoding that shape alone takes
# half the time of looking at each value; whatever differs in the least is read carefully. A test compares the two.


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


def _usual(body: bytes) -> Webhook | None:
    """The usual webhook, read in one go; None for any other."""
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
        or (item and not (len(item) <= ID_CHARS_MAX and _ITEM.fullmatch(item)))
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


# ------------------------------------------------------------------ bytes

# An escaped NUL, which PostgreSQL cannot store, with the escaped backslashes before it.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def _decode(body: bytes) -> object:
    """The JSON value, without NULs.

    Raises:
        MalformedError: it is not JSON.
    """
    if b"\\u0000" in body:
        body = _NUL.sub(rb"\1", body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _mend(body)


def _mend(body: bytes) -> object:
    """Reads what a strict decoder refuses as a whole because of one bad value deep inside.

    That is: bytes that are no UTF-8, half of an emoji, numbers out of range, control characters, nesting
    beyond all use.
    """
    try:
        text = _pruned(body.decode("utf-8-sig", errors="replace"))
        value = json.loads(
            text,
            strict=False,
            parse_int=lambda digits: int(digits) if len(digits) < 19 else 0,
            parse_float=lambda digits: number if math.isfinite(number := float(digits)) else 0,
            parse_constant=lambda _name: None,
        )
        # Half an emoji (a lone surrogate) is a legal escape in JSON and an illegal character in UTF-8.
        clean = json.dumps(value, ensure_ascii=False).encode(errors="replace")
        return msgspec.json.decode(_NUL.sub(rb"\1", clean))
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON") from error


def _pruned(text: str) -> str:
    """The text with every value deeper than `DEPTH_MAX` replaced by null."""
    depth, kept, start = 0, [], 0
    for token in _BRACKETS.finditer(text):
        match token[0]:
            case "[" | "{":
                if depth == DEPTH_MAX:
                    kept.append(text[start : token.start()] + "null")
                depth += 1
            case "]" | "}":
                depth -= 1
                if depth == DEPTH_MAX:
                    start = token.end()
            case _:
                pass
    if depth > DEPTH_MAX:
        return text
    return "".join([*kept, text[start:]])
