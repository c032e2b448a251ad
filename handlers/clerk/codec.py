"""Reads Clerk's events about users.

Source: clerk/javascript, packages/backend/src/api/resources/JSON.ts and Webhooks.ts; Clerk, "Sync Clerk data to your app with
webhooks".
"""

import re
from typing import Final

import msgspec
from msgspec import Raw, Struct

from flows.values.email import parse_email
from flows.values.phone import parse_phone

ADDRESSES_MAX: Final = 50  # ours: of one kind
MS_MAX: Final = 10**14  # a moment in ms since the epoch is well below

_USER = re.compile(r"user_[A-Za-z0-9]{1,60}")
_CREATED = frozenset(("user.created", "user.updated"))
_DELETED: Final = "user.deleted"
_VERIFIED: Final = "verified"
_BY_ADMIN: Final = "admin"


class MalformedError(Exception):
    """It is signed and not what Clerk sends. The text tells nothing of the body."""


class UserSeen(Struct, frozen=True, omit_defaults=True, tag="seen"):
    """What Clerk knew of a user at a moment. Lives in lane `clerk/<keyed hash of the user>`."""

    id: str
    """`user_…`"""
    at: int
    """Clerk's `updated_at`, ms since the epoch: events come in any order, and this tells which is newer."""
    external_id: str = ""
    """What we wrote there earlier, or somebody with the firm's secret key."""
    phones: tuple[str, ...] = ()
    """wa_ids of those that the user proved."""
    emails: tuple[str, ...] = ()
    """Those that the user proved, in small letters."""


class UserGone(Struct, frozen=True, omit_defaults=True, tag="gone"):
    """A user was deleted. Lives in the same lane."""

    id: str


class _Verification(Struct, frozen=True):
    status: str | None = None
    strategy: str | None = None


class _Phone(Struct, frozen=True):
    phone_number: str
    verification: _Verification | None = None


class _Email(Struct, frozen=True):
    email_address: str
    verification: _Verification | None = None


class _User(Struct, frozen=True):
    id: str
    updated_at: int
    external_id: str | None = None
    phone_numbers: list[_Phone] | None = None
    email_addresses: list[_Email] | None = None


class _Deleted(Struct, frozen=True):
    id: str


class _Event(Struct, frozen=True):
    type: str
    data: Raw


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_user = msgspec.json.Decoder(_User).decode
_decode_deleted = msgspec.json.Decoder(_Deleted).decode


def parse(body: bytes) -> UserSeen | UserGone | None:
    """What is said of a user; None for an event that is not ours to hear.

    Raises:
        MalformedError: it is not JSON, or not as Clerk writes it.
    """
    try:
        event = _decode_event(body)
        if event.type in _CREATED:
            return _seen(_decode_user(event.data))
        if event.type == _DELETED:
            return UserGone(_user_id(_decode_deleted(event.data).id))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise MalformedError from None
    return None


def _seen(user: _User) -> UserSeen:
    if not 0 < user.updated_at < MS_MAX:
        raise MalformedError
    phones = [
        parse_phone(each.phone_number)
        for each in (user.phone_numbers or [])[:ADDRESSES_MAX]
        if _proved(each.verification)
    ]
    emails = [
        parse_email(each.email_address)
        for each in (user.email_addresses or [])[:ADDRESSES_MAX]
        if _proved(each.verification)
    ]
    return UserSeen(
        id=_user_id(user.id),
        at=user.updated_at,
        external_id=user.external_id or "",
        phones=tuple(dict.fromkeys(phone for phone in phones if phone)),
        emails=tuple(dict.fromkeys(email.lower() for email in emails if email)),
    )


def _user_id(text: str) -> str:
    if not _USER.fullmatch(text):
        raise MalformedError
    return text


def _proved(verification: _Verification | None) -> bool:
    """By the person. What an administrator typed in is `verified` too, and proves nothing."""
    return (
        verification is not None
        and verification.status == _VERIFIED
        and verification.strategy != _BY_ADMIN
    )
