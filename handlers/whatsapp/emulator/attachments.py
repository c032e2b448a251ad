"""Reads what is sent beside words: files, places, contact cards, reactions.

Source: Cloud API, "Image messages" and its neighbours, "Location messages", "Contacts messages", "Reaction messages" (v26.0).
"""

import math
import re
from typing import Final, get_args

from handlers.whatsapp.emulator.content import (
    Cards,
    CardShown,
    Medium,
    MediumKind,
    Place,
    Reaction,
)
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import (
    JSON,
    a_meta_id,
    a_text,
    an_address,
    an_object,
    is_one_emoji,
    objects,
    only,
    optional,
)

CAPTION_MAX: Final = 1024
CARDS_MAX: Final = 257

_KEYS: Final[dict[MediumKind, tuple[str, ...]]] = {
    "image": ("caption",),
    "video": ("caption",),
    "audio": ("voice",),
    "document": ("caption", "filename"),
    "sticker": (),
}
_NAME_PARTS: Final = ("first_name", "last_name", "middle_name", "suffix", "prefix")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_CODE: Final = re.compile(r"[A-Za-z]{2}")


def read_medium(holder: JSON, kind: MediumKind, *, path: str = "") -> Medium:
    """The file under the key of its kind.

    Whether an uploaded file is there is not judged here: an id has to look like one.
    """
    given = an_object(holder, kind)
    path = path or kind
    only(given, path, "id", "link", *_KEYS[kind])
    if "id" in given and "link" in given:
        raise GraphError(100, f"Only one of {path}['id'] and {path}['link'] may be given.")
    if "id" not in given and "link" not in given:
        raise GraphError(131008, f"One of {path}['id'] and {path}['link'] is required.")
    source = a_meta_id(given, "id") if "id" in given else an_address(given, "link", f"{path}.link")
    caption = optional(given, "caption", f"{path}.caption")
    if len(caption) > CAPTION_MAX:
        raise GraphError(
            100, f"Param {path}['caption'] must be at most {CAPTION_MAX} characters long."
        )
    voice = given.get("voice", False)
    if not isinstance(voice, bool):
        raise GraphError(100, f"Param {path}['voice'] must be a boolean.")
    return Medium(
        kind, source, caption, optional(given, "filename", f"{path}.filename"), voice=voice
    )


def medium_kind(word: object) -> MediumKind | None:
    return next((kind for kind in get_args(MediumKind) if kind == word), None)


def read_place(holder: JSON) -> Place:
    given = an_object(holder, "location")
    only(given, "location", "latitude", "longitude", "name", "address")
    return Place(
        _degrees(given, "latitude", 90),
        _degrees(given, "longitude", 180),
        optional(given, "name", "location.name"),
        optional(given, "address", "location.address"),
    )


def read_reaction(holder: JSON) -> Reaction:
    given = an_object(holder, "reaction")
    only(given, "reaction", "message_id", "emoji")
    message = a_text(given, "message_id", "reaction.message_id")
    emoji = given.get("emoji")
    if emoji is None:
        raise GraphError(131008, "Missing required parameter: reaction.emoji")
    if not isinstance(emoji, str) or (emoji and not is_one_emoji(emoji)):
        raise GraphError(131009, "reaction.emoji is not an emoji.")
    return Reaction(message, emoji)


def read_cards(body: JSON) -> Cards:
    given = objects(body, "contacts")
    if not 1 <= len(given) <= CARDS_MAX:
        raise GraphError(131009, f"Between 1 and {CARDS_MAX} contacts are allowed.")
    return Cards(tuple(map(_card, given)))


def _card(card: JSON) -> CardShown:
    only(card, "contacts", "name", "phones", "emails", "urls", "addresses", "org", "birthday")
    name = an_object(card, "name")
    only(name, "contacts.name", "formatted_name", *_NAME_PARTS)
    shown = a_text(name, "formatted_name", "contacts.name.formatted_name")
    if not any(optional(name, part, f"contacts.name.{part}") for part in _NAME_PARTS):
        raise GraphError(131009, "A part of the name is required beside formatted_name.")
    if "birthday" in card and not _DAY.fullmatch(a_text(card, "birthday", "contacts.birthday")):
        raise GraphError(131009, "contacts.birthday is not YYYY-MM-DD.")
    more: list[str] = []
    if "org" in card:
        org = an_object(card, "org")
        only(org, "contacts.org", "company", "department", "title")
        more.append(", ".join(a_text(org, key, f"contacts.org.{key}") for key in org))
    for key, what in (("emails", "email"), ("urls", "url")):
        more += [
            a_text(each, what, f"contacts.{key}.{what}") for each in _each(card, key, what, "type")
        ]
    more += [
        _address(each)
        for each in _each(
            card, "addresses", "street", "city", "state", "zip", "country", "country_code", "type"
        )
    ]
    phones = [
        a_text(each, "phone", "contacts.phones.phone")
        for each in _each(card, "phones", "phone", "type", "wa_id")
    ]
    return CardShown(shown, tuple(phones), tuple(more))


def _each(card: JSON, key: str, *known: str) -> list[JSON]:
    given = objects(card, key) if key in card else []
    for each in given:
        only(each, f"contacts.{key}", *known)
    return given


def _address(address: JSON) -> str:
    parts = {key: a_text(address, key, f"contacts.addresses.{key}") for key in address}
    if "country_code" in parts and not _CODE.fullmatch(parts["country_code"]):
        raise GraphError(131009, "contacts.addresses.country_code is not an ISO code.")
    return ", ".join(part for key, part in parts.items() if key not in {"type", "country_code"})


def _degrees(given: JSON, key: str, limit: int) -> float:
    value = given.get(key)
    if value is None:
        raise GraphError(131008, f"Missing required parameter: location.{key}")
    # Meta's examples write numbers and their digits.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise GraphError(100, f"Param location['{key}'] must be a number.")
    try:
        degrees = float(value)
    except ValueError as error:
        raise GraphError(100, f"Param location['{key}'] must be a number.") from error
    if not math.isfinite(degrees) or abs(degrees) > limit:
        raise GraphError(131009, f"location.{key} is out of range.")
    return degrees
