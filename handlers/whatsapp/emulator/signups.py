"""Embedded Signup as Facebook plays it: its window, what the window decides, and the codes that are worth a token.

A number that comes into the world here is as after the real thing: it belongs to an account of its own, nobody hears its
webhooks, and, unless it stays in the WhatsApp Business app, it is not registered.

Source: Meta, "Embedded Signup v4: Implementation", "Onboard WhatsApp Business app users", webhook `account_update`.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import Struct

from handlers.ports import Clock
from handlers.whatsapp.emulator.accounts import APP_ID, SCOPES, Accounts
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.fields import JSON
from handlers.whatsapp.emulator.world import Number, NumberId, World, WorldError

SDK: Final = "/sdk.js"
CONFIG_ID: Final = "1"
BUSINESS: Final = "900000000000001"
"""Portfolio of whoever has the app."""
CODE_MS: Final = 30_000  # Meta: "a time-to-live of 30 seconds"
CODE_BYTES: Final = 48
TOKEN_BYTES: Final = 60
FIRST_ID: Final = 500_000_000_000_000

Kind = Literal[
    "new",  # proved by a code, never registered
    "two_step",  # the same, and somebody once gave it a PIN
    "unverified",  # not proved yet: v4 lets people finish without
    "app",  # stays in the WhatsApp Business app
    "taken",  # a number that is here already
    "none",  # an account without a number
]
PIN: Final = "246810"
"""Of a number of kind `two_step`."""

_FINISH: Final[dict[Kind, str]] = {
    "app": "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING",
    "none": "FINISH_ONLY_WABA",
}


class Finish(Struct, frozen=True, forbid_unknown_fields=True):
    """What was chosen in the window."""

    kind: Kind
    display_phone: str = ""
    name: str = ""
    number: str = ""
    """Of kind `taken`: which one."""


class Finished(Struct, frozen=True):
    """What the window tells the page that opened it."""

    code: str
    event: str
    data: dict[str, str]


@dataclass(slots=True)
class _Code:
    token: str
    until_ms: int
    used: bool = False


@dataclass(slots=True)
class Grant:
    """What a business token may touch."""

    token: str = field(repr=False)
    accounts: tuple[str, ...]
    app_id: str = APP_ID
    scopes: tuple[str, ...] = SCOPES


class Signups:
    """Codes and tokens of the businesses that came through the window."""

    def __init__(self, world: World, accounts: Accounts, *, app_secret: str, clock: Clock) -> None:
        self._world = world
        self._accounts = accounts
        self._app_secret = app_secret
        self._clock = clock
        self._codes: dict[str, _Code] = {}
        self._grants: dict[str, Grant] = {}
        self._synced: set[tuple[NumberId, str]] = set()
        self._next = FIRST_ID
        self.code_ms = CODE_MS
        """How long a code lives."""

    def finish(self, asked: Finish) -> Finished:
        """The window was left by its last button.

        Raises:
            WorldError: there is no such number.
        """
        token = f"EAAG{secrets.token_urlsafe(TOKEN_BYTES)}"
        portfolio, waba = self._id(), self._id()
        data = {"waba_id": waba, "business_id": portfolio}
        if asked.kind == "taken":
            known = self._world.numbers.get(NumberId(asked.number))
            if known is None:
                raise WorldError("no such number")
            waba, portfolio = known.waba_id, known.portfolio_id
            data = {"waba_id": waba, "business_id": portfolio, "phone_number_id": known.id}
        elif asked.kind != "none":
            number = self._number(asked, token=token, waba=waba, portfolio=portfolio)
            # Meta tells only the account of a number that stays in the app.
            data = (
                {"waba_id": waba} if asked.kind == "app" else data | {"phone_number_id": number.id}
            )
        self._grants[token] = Grant(token, (waba,))
        code = f"AQ{secrets.token_urlsafe(CODE_BYTES)}"
        self._codes[code] = _Code(token, self._clock.now_ms() + self.code_ms)
        self._accounts.partner_added(waba, portfolio, business=BUSINESS)
        return Finished(code, _FINISH.get(asked.kind, "FINISH"), data)

    def _number(self, asked: Finish, *, token: str, waba: str, portfolio: str) -> Number:
        id = NumberId(self._id())
        number = Number(
            id=id,
            waba_id=waba,
            display_phone=asked.display_phone.strip()
            or f"+56 9 5{str(id)[-3:]} {self._next % 10_000:04}",
            name=asked.name.strip() or "Mi negocio",
            token=token,
            portfolio_id=portfolio,
        )
        self._world.add_number(number)
        in_app = asked.kind == "app"
        self._accounts.change(
            id,
            {
                "registered": in_app,
                "in_app": in_app,
                "pin": PIN if asked.kind == "two_step" else "",
                "verified": "NOT_VERIFIED" if asked.kind == "unverified" else "VERIFIED",
                "subscribed": False,
            },
        )
        return number

    def _id(self) -> str:
        self._next += 1 + secrets.randbelow(1_000)
        return str(self._next)

    # -------------------------------------------------------------- towards the bot

    def exchange(self, *, client_id: str, client_secret: str, code: str) -> JSON:
        """
        Raises:
            GraphError: the code is none, or no more, or whoever asks is not the app.
        """
        if client_id != APP_ID or client_secret != self._app_secret:
            raise GraphError(1, "Error validating client secret.")
        known = self._codes.get(code)
        if known is None:
            raise GraphError(100, "Invalid verification code format.")
        if known.used:
            raise GraphError(100, "This authorization code has been used.", subcode=36009)
        if known.until_ms <= self._clock.now_ms():
            raise GraphError(100, "This authorization code has expired.", subcode=36007)
        known.used = True
        return {"access_token": known.token, "token_type": "bearer"}

    def grant(self, token: str) -> Grant | None:
        """What a token may touch; None for one that did not come through the window."""
        return self._grants.get(token)

    def change(self, token: str, **changes: object) -> None:
        """Change a grant, as somebody at Meta might."""
        for name, value in changes.items():
            setattr(self._grants[token], name, value)

    def is_app(self, token: str) -> bool:
        """Whether whoever asks is the app itself."""
        return token == f"{APP_ID}|{self._app_secret}"

    def last_token(self) -> str:
        """The newest one; empty when there is none."""
        return next(reversed(self._grants), "")

    def sync(self, number: NumberId, kind: str) -> JSON:
        """
        Raises:
            GraphError: it was done before, or the number is not in the app.
        """
        if kind not in ("smb_app_state_sync", "history"):
            raise GraphError(100, "Param sync_type must be one of {SMB_APP_STATE_SYNC, HISTORY}.")
        if not self._accounts.standing(number).in_app or (number, kind) in self._synced:
            raise GraphError(100, "The sync cannot be requested for this phone number.")
        self._synced.add((number, kind))
        return {"messaging_product": "whatsapp", "request_id": secrets.token_hex(12)}

    @property
    def synced(self) -> frozenset[tuple[NumberId, str]]:
        """What was asked for: (number, kind)."""
        return frozenset(self._synced)
