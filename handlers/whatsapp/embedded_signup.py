"""Speaks to the Graph API of Embedded Signup: what a browser's code is worth.

The ids that a browser tells are hints. The token itself tells of which app it is and for which accounts it may act, and
the account tells its numbers.

Source: Meta, "Embedded Signup v4: Implementation", "Onboarding customers as a Tech Provider", "Onboard WhatsApp Business
app users", "Debug token" (v26.0).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote, urlencode

from handlers.whatsapp.client import Graph
from handlers.whatsapp.doctor import SCOPES
from handlers.whatsapp.errors import GraphError, GraphFault, MaybeSentError
from handlers.whatsapp.faults import Reaction

PAGES_MAX: Final = 20
FIELDS: Final = "id,display_phone_number,is_on_biz_app,platform_type"
# A firm has a handful of numbers; an answer of a hundred is 20 KB.
NUMBERS_BYTES_MAX: Final = 512 * 1024

_ID: Final = re.compile(r"[0-9]{1,32}")
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()./-]{4,30}")

_Object = Mapping[object, object]

Why = Literal[
    "code",  # Meta takes the code no more: it lives for half a minute, and is good once
    "app",  # the token is another app's, or none
    "scopes",  # it may not do all that is needed
    "account",  # it may not act for this account
    "number",  # the account has no such number, or none at all
    "which",  # there are several, and the browser named none
]


class SignupRefusedError(Exception):
    """The code leads to no number that may be connected. The message is the word of `why`."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


@dataclass(frozen=True, slots=True)
class Given:
    """What a browser brought from Meta's window."""

    code: str = field(repr=False)
    waba_id: str = ""
    """Empty: it was not told."""
    phone_number_id: str = ""
    """Empty: it was not told, as for a number that stays in the WhatsApp Business app."""
    coexistence: bool = False


@dataclass(frozen=True, slots=True)
class Proved:
    """A number, as Meta itself says, and the token that may speak for it."""

    token: str = field(repr=False)
    waba_id: str
    portfolio_id: str
    """Empty: Meta did not tell."""
    phone_number_id: str
    display_phone: str
    coexistence: bool
    """It stays in the WhatsApp Business app too."""


class EmbeddedSignup:
    """One Meta app's."""

    def __init__(self, graph: Graph, *, app_id: str, app_secret: str) -> None:
        self._graph = graph
        self._app_id = app_id
        self._app_secret = app_secret

    async def prove(self, given: Given) -> Proved:
        """Give the code for a token, and find out what number it is about.

        Raises:
            SignupRefusedError: there is none that may be connected.
            GraphError: Meta could not be asked to the end. The code may be used up.
        """
        token = await self._exchange(given.code)
        waba_id = await self._account(token, given.waba_id)
        number = _chosen(await self._numbers(token, waba_id), given)
        is_shared = number.get("is_on_biz_app")
        return Proved(
            token=token,
            waba_id=waba_id,
            portfolio_id=await self._portfolio(token, waba_id),
            phone_number_id=str(number["id"]),
            display_phone=_phone(number),
            # Only where Meta does not say so, the browser is believed: it decides what is left out, no more.
            coexistence=is_shared if isinstance(is_shared, bool) else given.coexistence,
        )

    async def _exchange(self, code: str) -> str:
        query = urlencode(
            {"client_id": self._app_id, "client_secret": self._app_secret, "code": code}
        )
        try:
            answer = await self._graph.get(f"oauth/access_token?{query}", self._app_token)
        except GraphFault as fault:
            if fault.fault.reaction in (Reaction.RETRY, Reaction.PAUSE) and fault.code != 190:
                raise
            raise SignupRefusedError("code") from fault
        match answer:
            case {"access_token": str(token)} if token.isascii() and token.isprintable() and token:
                return token
            case _:
                raise MaybeSentError("a token that cannot be read")

    async def _account(self, token: str, wanted: str) -> str:
        """The account that the token may act for."""
        path = f"debug_token?input_token={quote(token, safe='')}"
        answer = await self._graph.get(path, self._app_token)
        match answer:
            case {"data": {"app_id": app, "is_valid": True, **about}} if str(app) == self._app_id:
                pass
            case _:
                raise SignupRefusedError("app")
        scopes = about.get("scopes")
        if not isinstance(scopes, list) or not all(scope in scopes for scope in SCOPES):
            raise SignupRefusedError("scopes")
        accounts = _targets(about.get("granular_scopes"))
        if wanted:
            if wanted not in accounts:
                raise SignupRefusedError("account")
            return wanted
        if len(accounts) != 1:
            raise SignupRefusedError("which" if accounts else "account")
        return accounts[0]

    async def _numbers(self, token: str, waba_id: str) -> list[_Object]:
        found: list[_Object] = []
        after = ""
        for _ in range(PAGES_MAX):
            cursor = f"&after={quote(after, safe='')}" if after else ""
            page = await self._graph.request(
                "GET",
                f"{waba_id}/phone_numbers?fields={FIELDS}&limit=100{cursor}",
                token,
                answer_bytes_max=NUMBERS_BYTES_MAX,
            )
            match page:
                case {"data": list(data), **rest}:
                    found += [each for each in data if isinstance(each, dict) and _has_id(each)]
                case _:
                    raise MaybeSentError("a page of numbers cannot be read")
            match rest.get("paging"):
                case {"next": str(), "cursors": {"after": str(next_after)}} if (
                    next_after and next_after != after
                ):
                    after = next_after
                case _:
                    return found
        raise MaybeSentError("the list of numbers does not end")

    async def _portfolio(self, token: str, waba_id: str) -> str:
        """Whose the account is; good to have, and nothing fails without it."""
        try:
            answer = await self._graph.get(f"{waba_id}?fields=owner_business_info", token)
        except GraphError:
            return ""
        match answer:
            case {"owner_business_info": {"id": id}} if _ID.fullmatch(str(id)):
                return str(id)
            case _:
                return ""

    @property
    def _app_token(self) -> str:
        # Meta, "Access tokens": an app proves itself by its id and secret, between servers only.
        return f"{self._app_id}|{self._app_secret}"


def _targets(granular: object) -> list[str]:
    """The accounts that every scope we need is granted for; the one that was granted last stands first."""
    by_scope: dict[object, list[str]] = {}
    for each in granular if isinstance(granular, list) else ():
        match each:
            case {"scope": scope, "target_ids": list(ids)}:
                by_scope[scope] = [str(id) for id in ids if _ID.fullmatch(str(id))]
            case _:
                pass
    first, *others = (by_scope.get(scope, []) for scope in sorted(SCOPES))
    return [id for id in first if all(id in other for other in others)]


def _chosen(numbers: list[_Object], given: Given) -> _Object:
    if given.phone_number_id:
        numbers = [each for each in numbers if str(each["id"]) == given.phone_number_id]
    elif given.coexistence:
        numbers = [each for each in numbers if each.get("is_on_biz_app") is not False]
    if len(numbers) != 1:
        raise SignupRefusedError("which" if numbers else "number")
    return numbers[0]


def _has_id(number: _Object) -> bool:
    return _ID.fullmatch(str(number.get("id"))) is not None


def _phone(number: _Object) -> str:
    told = number.get("display_phone_number")
    return told if isinstance(told, str) and _PHONE.fullmatch(told) else str(number["id"])
