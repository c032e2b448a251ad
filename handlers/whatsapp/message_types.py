"""Reads what a message says, by its type."""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from flows.dialog.events import (
    NO_JSON,
    Attachment,
    HeardKind,
    Location,
    MediaKind,
    Order,
    OrderItem,
    SharedCard,
)
from flows.values.ids import NO_MESSAGE, Wamid
from handlers.whatsapp.loose import (
    PHONE,
    WORD,
    MalformedError,
    Object,
    decode,
    degrees_of,
    get,
    id_of,
    int_of,
    list_of,
    short,
    text_of,
)

CARDS_MAX: Final = 50
"""Contacts of a message, lines of an order; our choice: what a person sends is far below."""
PHONES_MAX: Final = 10  # of a contact


class Said(Struct, frozen=True):
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
_Reader = Callable[[Object, object], Said | None]


def _text(_message: Object, body: object) -> Said | None:
    text = text_of(get(body, "body"))
    return Said("text", text=text) if text else None


def _media(message: Object, body: object) -> Said | None:
    media_id = id_of(get(body, "id"))
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
            kind = "voice" if get(body, "voice") is True else "audio"
    attachment = Attachment(
        kind=kind,
        id=media_id,
        mime=short(get(body, "mime_type")),
        name=short(get(body, "filename")),
        sha256=short(get(body, "sha256")),
    )
    return Said("media", text=text_of(get(body, "caption")), media=attachment)


def _location(_message: Object, body: object) -> Said | None:
    latitude = degrees_of(get(body, "latitude"), 90.0)
    longitude = degrees_of(get(body, "longitude"), 180.0)
    if latitude is None or longitude is None:
        return None
    place = Location(
        latitude=latitude,
        longitude=longitude,
        name=text_of(get(body, "name")),
        address=text_of(get(body, "address")),
    )
    return Said("place", place=place)


def _contacts(message: Object, body: object) -> Said | None:
    cards = [card for card in list_of(body) if isinstance(card, dict)]
    if not cards:
        return None
    # Meta's page shows it beside the cards, its changelog in each of them.
    requested = message.get("origin") == "contact_request"
    shared = tuple(_card(card) for card in cards[:CARDS_MAX])
    for card in cards:
        # Any other card may be anybody's: only WhatsApp's own answer to a request is the sender's phone.
        if requested or card.get("origin") == "contact_request":
            for phone in list_of(card.get("phones")):
                for key in ("wa_id", "phone"):
                    if number := PHONE.fullmatch(re.sub(r"[ ().-]", "", id_of(get(phone, key)))):
                        return Said("contacts", phone=number[1], cards=shared)
    return Said("contacts", cards=shared)


def _card(card: Object) -> SharedCard:
    name = card.get("name")
    phones = [
        short(get(phone, "phone")) or short(get(phone, "wa_id"))
        for phone in list_of(card.get("phones"))[:PHONES_MAX]
    ]
    return SharedCard(
        name=short(get(name, "formatted_name")) or short(get(name, "first_name")),
        phones=tuple(phone for phone in phones if phone),
    )


def _interactive(_message: Object, body: object) -> Said | None:
    match get(body, "type"):
        case "button_reply":
            return _chosen("tap", get(body, "button_reply"))
        case "list_reply":
            return _chosen("row", get(body, "list_reply"))
        case "nfm_reply":
            return _form(get(body, "nfm_reply"))
        case str(other) if WORD.fullmatch(other):
            return Said("unsupported", text=other)
        case _:
            return None


def _chosen(kind: HeardKind, reply: object) -> Said | None:
    choice = text_of(get(reply, "id"))
    return Said(kind, choice=choice, text=text_of(get(reply, "title"))) if choice else None


def _form(reply: object) -> Said | None:
    response = get(reply, "response_json")
    if isinstance(response, str):
        try:
            response = decode(response.encode())
        except MalformedError:
            return None
    if not isinstance(response, dict):
        return None
    form = Raw(msgspec.json.encode(response))
    return Said("form", text=text_of(get(reply, "body")), form=form)


def _button(_message: Object, body: object) -> Said | None:
    text = text_of(get(body, "text"))
    choice = text_of(get(body, "payload")) or text  # Meta: the payload defaults to the label
    return Said("tap", choice=choice, text=text) if choice else None


def _order(_message: Object, body: object) -> Said | None:
    if not isinstance(body, dict):
        return None
    lines = [
        OrderItem(
            product=product,
            quantity=int_of(get(item, "quantity")),
            price=short(get(item, "item_price")),
            currency=short(get(item, "currency")),
        )
        for item in list_of(body.get("product_items"))[:CARDS_MAX]
        if (product := id_of(get(item, "product_retailer_id")))
    ]
    order = Order(catalogue=id_of(body.get("catalog_id")), items=tuple(lines))
    return Said("order", text=text_of(body.get("text")), order=order)


def _reaction(_message: Object, body: object) -> Said | None:
    about = Wamid(id_of(get(body, "message_id")))
    return Said("reaction", text=text_of(get(body, "emoji")), reply_to=about) if about else None


def _system(_message: Object, body: object) -> Said | None:
    what = get(body, "type")
    named = isinstance(what, str) and WORD.fullmatch(what)
    return Said("system", text=str(what)) if named else None


def _welcome(_message: Object, _body: object) -> Said | None:
    return Said("welcome")


def _unsupported(_message: Object, body: object) -> Said | None:
    what = get(body, "type")
    named = isinstance(what, str) and WORD.fullmatch(what)
    return Said("unsupported", text=str(what) if named else "unknown")


# Edits and revokes reach numbers that are used in the WhatsApp Business app, too.


def _edit(_message: Object, body: object) -> Said | None:
    original = Wamid(id_of(get(body, "original_message_id")))
    now = get(body, "message")
    if not original or not isinstance(now, dict):
        return None
    kind = now.get("type")
    if not isinstance(kind, str) or kind not in _EDITED:
        kind = next((each for each in _EDITED if each in now), "")
    said = read_body({**now, "type": kind}, kind)
    if said is None:
        # A caption may come without the file that it belongs to.
        caption = text_of(get(now.get(kind), "caption"))
        said = Said("media", text=caption) if caption else None
    if said is None:
        return None
    return Said("edit", text=said.text, reply_to=original, media=said.media)


def _revoke(_message: Object, body: object) -> Said | None:
    original = Wamid(id_of(get(body, "original_message_id")))
    return Said("revoke", reply_to=original) if original else None


# What WhatsApp lets people edit: words and captions.
_EDITED: Final = ("text", "image", "video", "document")


READERS: Final[dict[str, _Reader]] = {
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
"""By Meta's word for the type."""


def read_body(message: Object, kind: str) -> Said | None:
    """What a message of this type says; None if the type is not known, or its body cannot be read."""
    reader = READERS.get(kind)
    return reader(message, message.get(kind)) if reader is not None else None
