"""Reads the bodies of Meta's webhooks: every entry, change, message and status, in order.

Meta batches up to 1,000 updates in a body and changes shapes without notice, so nothing is assumed of any
value: what cannot be read becomes a `Heard` of kind "unsupported" or a counted `Notice`, never an error, and
never harms its neighbours. Keys are not trusted either: a BSUID has been seen in `from` and in `wa_id`, so
addresses are told by their form.

Source: Meta, "Webhooks > messages", "Business-scoped user IDs" (v26.0).
"""

from collections.abc import Iterable, Iterator
from typing import Final, get_args

import msgspec
from msgspec import Raw

from flows.dialog.events import (
    OVERSIZED,
    Heard,
    Referral,
)
from flows.values.ids import ItemId, Wamid
from flows.values.phone import country_of
from handlers.care import Change
from handlers.events import MovedWhy, Sender
from handlers.whatsapp.loose import (
    BSUID,
    ITEM,
    PHONE,
    WORD,
    Object,
    at_of,
    decode,
    get,
    id_of,
    int_of,
    list_of,
    short,
    text_of,
)
from handlers.whatsapp.message_types import READERS, Said, read_body
from handlers.whatsapp.usual import read_usual
from handlers.whatsapp.webhook_values import (
    Move,
    Notice,
    Parsed,
    Preference,
    Status,
    StatusKind,
    Webhook,
)

WORDS_CHARS_MAX: Final = 1_024  # of an ad; WhatsApp shows less
NOTICES_MAX: Final = 100  # kept of one body; the rest says only how many
CHANGE_BYTES_MAX: Final = 32 * 1024  # of the value of one change; Meta's own stay under 4 KB
TOO_LARGE: Final = 131052  # Meta: the file was over 100 MB

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


_Contacts = dict[str, Sender]


def parse(body: bytes) -> Webhook:
    """Read one webhook body. Its signature has been verified: this is Meta speaking.

    Raises:
        MalformedError: it is not JSON.
    """
    return read_usual(body) or read_carefully(body)


def read_carefully(body: bytes) -> Webhook:
    """Whatever Meta, or a gateway before us, made of it."""
    webhook = Webhook([], [], [], [], [], [])
    envelope = decode(body)
    if not isinstance(envelope, dict) or envelope.get("object") != "whatsapp_business_account":
        _note(webhook, "other_object")
        return webhook
    for entry in _objects(envelope.get("entry"), webhook):
        waba_id = id_of(entry.get("id"))
        at = at_of(entry.get("time"))
        for change in _objects(entry.get("changes"), webhook):
            value = change.get("value")
            field = change.get("field")
            if field is None:
                # Where Meta's own examples have it, now and then.
                field = get(value, "field") or entry.get("field")
            if field == "smb_message_echoes" and get(value, "message_echoes"):
                _read_echoes(value, webhook, waba_id=waba_id)
            elif field == "user_preferences" and get(value, "user_preferences"):
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


def _read_messages(value: Object, webhook: Webhook, *, waba_id: str) -> None:
    number = id_of(get(value.get("metadata"), "phone_number_id"))
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
        field=field if isinstance(field, str) and WORD.fullmatch(field) else "other",
        # Without its value it still says that something has changed.
        value=Raw(told if len(told) <= CHANGE_BYTES_MAX else b"null"),
        at=at,
    )


def _read_echoes(value: object, webhook: Webhook, *, waba_id: str) -> None:
    """What the firm wrote from the WhatsApp Business app: messages as any other, but for `to`."""
    number = id_of(get(get(value, "metadata"), "phone_number_id"))
    if not number:
        _note(webhook, "no_number", waba_id=waba_id)
        return
    contacts = _by_address(get(value, "contacts"))
    for message in _objects(get(value, "message_echoes"), webhook, waba_id=waba_id):
        named = (message.get("to"), message.get("to_user_id"), message.get("recipient_user_id"))
        read = _message(message, _known(*_address(named), contacts))
        if isinstance(read, str):
            _note(webhook, read, waba_id=waba_id)
        else:
            _note_type(webhook, message, waba_id=waba_id)
            webhook.echoes.append(Parsed(number, *read))


def _read_preferences(value: object, webhook: Webhook, *, waba_id: str) -> None:
    number = id_of(get(get(value, "metadata"), "phone_number_id"))
    contacts = _by_address(get(value, "contacts"))
    for told in _objects(get(value, "user_preferences"), webhook, waba_id=waba_id):
        sender = _known(*_address((told.get("wa_id"), told.get("user_id"))), contacts)
        word = told.get("value")
        if told.get("category") != "marketing_messages" or word not in ("stop", "resume"):
            _note(webhook, "other_preference", waba_id=waba_id)
        elif sender is None or not (number or waba_id):
            _note(webhook, "preference_of_nobody", waba_id=waba_id)
        else:
            webhook.preferences.append(
                Preference(number, waba_id, sender, word == "resume", at_of(told.get("timestamp")))
            )


# ------------------------------------------------------------------ messages


def _message(message: Object, sender: Sender | None) -> tuple[Sender, Heard] | str:
    """The sender and what they said, or the name of the notice that says why there is none."""
    wamid = Wamid(id_of(message.get("id")))
    if not wamid:
        return "message_without_id"
    if message.get("group_id"):
        # An answer would go to the person in private, who spoke to a group.
        return "group_message"
    kind = message.get("type")
    kind = kind if isinstance(kind, str) else ""
    if sender is None:
        return "message_without_sender"
    said = read_body(message, kind)
    if said is None:
        too_large = any(int_of(get(e, "code")) == TOO_LARGE for e in list_of(message.get("errors")))
        named = kind if WORD.fullmatch(kind) else "unknown"
        said = Said("unsupported", text=OVERSIZED if too_large else named)
    heard = Heard(
        id=wamid,
        at=at_of(message.get("timestamp")),
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
        about=id_of(get(get(message.get("context"), "referred_product"), "product_retailer_id")),
        forwarded=_is_forwarded(message),
    )
    return sender, heard


def _note_type(webhook: Webhook, message: Object, *, waba_id: str) -> None:
    """A type that nobody told us of is kept as unsupported, and counted."""
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in READERS:
        word = kind if isinstance(kind, str) and WORD.fullmatch(kind) else ""
        _note(webhook, "other_type", waba_id=waba_id, event=word)


def _referral(value: object) -> Referral | None:
    if not isinstance(value, dict):
        return None

    def words(key: str) -> str:
        return text_of(value.get(key))[:WORDS_CHARS_MAX]

    welcome = text_of(get(value.get("welcome_message"), "text"))[:WORDS_CHARS_MAX]
    return Referral(
        source=short(value.get("source_type")),
        id=id_of(value.get("source_id")),
        url=words("source_url"),
        headline=words("headline"),
        body=words("body"),
        click=words("ctwa_clid"),
        welcome=welcome,
    )


def _is_forwarded(message: Object) -> bool:
    context = message.get("context")
    return any(get(context, key) is True for key in ("forwarded", "frequently_forwarded"))


def _context(message: Object) -> Wamid:
    return Wamid(id_of(get(message.get("context"), "id")))


# ------------------------------------------------------------------ addresses


def _address(values: Iterable[object]) -> tuple[str, str]:
    """(wa_id, bsuid) found among the values, whatever their keys promised."""
    wa_id = bsuid = ""
    for value in values:
        text = id_of(value)
        if not text:
            continue
        if not wa_id and (phone := PHONE.fullmatch(text)):
            wa_id = phone[1]
        elif not bsuid and BSUID.fullmatch(text):
            bsuid = text
    return wa_id, bsuid


def _by_address(contacts: object) -> _Contacts:
    """`contacts` is not aligned with `messages` in a batch: a contact is found by address only."""
    found: _Contacts = {}
    for contact in list_of(contacts):
        wa_id, bsuid = _address((get(contact, "wa_id"), get(contact, "user_id")))
        if not wa_id and not bsuid:
            continue
        profile = get(contact, "profile")
        sender = Sender(
            wa_id=wa_id,
            bsuid=bsuid,
            name=short(get(profile, "name")),
            username=short(get(profile, "username")),
        )
        if bsuid:
            found[bsuid] = sender
        if wa_id:
            found[wa_id] = sender
    return found


def _sender(message: Object, contacts: _Contacts) -> Sender | None:
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


def _moved(message: Object) -> MovedWhy | None:
    if message.get("type") != "system":
        return None
    what = get(message.get("system"), "type")
    return _MOVES.get(what) if isinstance(what, str) else None


def _move(message: Object, number: str, why: MovedWhy) -> Move | None:
    """Whose addresses do not hold any more; None if the message does not say which they were.

    Number and BSUID change together, and numbers are recycled: a conversation never follows to a new address by this
    alone. A login does, once the new number is proved.
    """
    system = message.get("system")
    wamid = Wamid(id_of(message.get("id")))
    new = {id_of(get(system, key)) for key in ("user_id", "wa_id", "new_wa_id", "parent_user_id")}
    old = [
        message.get("from"),
        message.get("from_user_id"),
        get(system, "previous_user_id"),
        get(system, "customer"),
    ]
    if why != "identity":
        old = [value for value in old if id_of(value) not in new]
    wa_id, bsuid = _address(old)
    if not wamid or not (wa_id or bsuid):
        return None
    sender = Sender(wa_id=wa_id, bsuid=bsuid)
    wa_id, _ = _address([get(system, "wa_id"), get(system, "new_wa_id")])
    phone = wa_id if why == "number" else ""
    return Move(number, wamid, sender, why, at_of(message.get("timestamp")), phone)


# ------------------------------------------------------------------ statuses


def _status(status: Object, number: str) -> Status | str:
    wamid = Wamid(id_of(status.get("id")))
    if not wamid:
        return "status_without_id"
    word = status.get("status")
    kind = _STATUSES.get(word) if isinstance(word, str) else None
    if kind is None:
        return "other_status"
    item = id_of(status.get("biz_opaque_callback_data"))
    pricing = status.get("pricing")
    code = 0
    if kind == "failed":
        for error in list_of(status.get("errors")):
            code = code or int_of(get(error, "code"))
    return Status(
        phone_number_id=number,
        wamid=wamid,
        status=kind,
        at=at_of(status.get("timestamp")),
        item=ItemId(item if item and ITEM.fullmatch(item) else ""),
        category=short(get(pricing, "category")) if pricing else "",
        price_type=short(get(pricing, "type")) if pricing else "",
        code=code,
        country=country_of(id_of(status.get("recipient_id")))
        or country_of(id_of(status.get("recipient_user_id"))),
    )


_STATUSES: Final[dict[str, StatusKind]] = {kind: kind for kind in get_args(StatusKind)}


# ------------------------------------------------------------------ notices


def _objects(items: object, webhook: Webhook, *, waba_id: str = "") -> Iterator[Object]:
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


def _event(value: object) -> str:
    event = get(value, "event")
    return event if isinstance(event, str) and WORD.fullmatch(event) else ""


def _note(webhook: Webhook, name: str, *, waba_id: str = "", event: str = "") -> None:
    if len(webhook.notices) < NOTICES_MAX:
        webhook.notices.append(Notice(name, waba_id=waba_id, event=event))
