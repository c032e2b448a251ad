"""Reads the body of Supabase Auth's send-SMS hook.

Source: supabase/auth, internal/hooks/v0hooks (SendSMSInput); the user is as its REST API shows it.
"""

import re
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from flows.values.phone import WaId, parse_phone

CODE_CHARS_MAX: Final = 15  # Meta: of an authentication template; Supabase makes 6 to 10 digits
PHONE_CHARS_MAX: Final = 40
ID_CHARS_MAX: Final = 64

_CODE = re.compile(rf"[0-9A-Za-z]{{1,{CODE_CHARS_MAX}}}")


class MalformedError(Exception):
    """It is signed and not what Supabase sends. The text tells nothing of the body."""


class CodeAsked(Struct, frozen=True):
    """Supabase has made a code and wants it delivered."""

    user: str
    """Supabase's id of the user."""
    phone: WaId | None
    """None: it cannot be a telephone number."""
    code: str
    locale: str
    """As the user's own metadata says; empty if they do not."""
    day: int
    """Days since the epoch of a moment that stays the same however often Supabase tries: when its user last changed."""


class _Metadata(Struct, frozen=True):
    locale: object = None
    lang: object = None


class _User(Struct, frozen=True):
    id: str
    phone: str | None = None
    updated_at: str | None = None
    user_metadata: _Metadata | None = None


class _Sms(Struct, frozen=True):
    otp: str
    phone: str | None = None


class _Body(Struct, frozen=True):
    user: _User
    sms: _Sms


_decode = msgspec.json.Decoder(_Body).decode


def parse(body: bytes) -> CodeAsked:
    """
    Raises:
        MalformedError: it is not JSON, or not as Supabase writes it.
    """
    try:
        told = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise MalformedError from None
    user, sms = told.user, told.sms
    # The hook's own number comes first: while a user changes theirs, it is the new one. Supabase leaves out the plus.
    phone = (sms.phone or user.phone or "").removeprefix("+")
    if not (0 < len(user.id) <= ID_CHARS_MAX and _CODE.fullmatch(sms.otp)):
        raise MalformedError
    return CodeAsked(
        user=user.id,
        phone=parse_phone(f"+{phone}") if 0 < len(phone) <= PHONE_CHARS_MAX else None,
        code=sms.otp,
        locale=_locale(user.user_metadata),
        day=_day(user.updated_at or ""),
    )


def _locale(metadata: _Metadata | None) -> str:
    """`es-CL` and `en-US` as `es_CL` and `en`. Users write their metadata themselves: a language is all it may choose."""
    said = metadata and (metadata.locale or metadata.lang)
    if not isinstance(said, str):
        return ""
    return "en" if said.lower().startswith("en") else "es_CL"


def _day(moment: str) -> int:
    try:
        return max(0, int(datetime.fromisoformat(moment).timestamp()) // 86_400)
    except (ValueError, OverflowError):
        return 0
