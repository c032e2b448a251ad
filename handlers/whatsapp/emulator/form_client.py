"""WhatsApp's client of a form, as it runs on a person's phone: it asks the form's endpoint in an envelope, and shows screens.

Source: Meta, "Implementing endpoints for Flows" (data API 3.0): RSA-OAEP with SHA-256 around a key of 16 bytes, AES-GCM with
the tag at the end, the answer under the same key with every bit of the vector inverted; 421: fetch the public key anew and ask
again; 427: the form is over; 432: the signature is wrong.
"""

import base64
import hmac
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from handlers.whatsapp.emulator.content import Filled
from handlers.whatsapp.emulator.fields import JSON
from handlers.whatsapp.emulator.forms import (
    SUCCESS,
    FormStore,
    MetaForm,
    Screen,
    action_of,
    filled,
    missing,
    shown,
)
from handlers.whatsapp.emulator.world import NumberId, WorldError

ANSWER_S: Final = 10.0  # Meta
OPEN_MAX: Final = 1_000  # forms under way; the oldest is forgotten
CANNOT_OPEN: Final = 421
OVER: Final = 427
BROKEN: Final = "broken"  # the page has the phone's own words for it


class Shown(Struct, frozen=True, kw_only=True):
    """What the phone shows after a step."""

    form: str
    """The form under way, for the next step; empty when it is closed."""
    screen: Screen | None = None
    error: str = ""
    """In place of a screen, the form cannot go on: what the endpoint says of it, or `broken`."""
    status: int = 0
    """HTTP status of the endpoint's last answer; 0 if it was not asked, or did not answer."""
    took_ms: int = 0


class _Open(Struct, kw_only=True):
    """A form under way on somebody's phone."""

    id: str
    number: NumberId
    form: MetaForm
    token: str
    message: str
    path: list[tuple[str, JSON]] = []
    """(screen, data) of those behind, and of the one that is shown."""
    typed: dict[str, JSON] = {}
    """What the person typed on each screen: the phone keeps it."""


class _NoAnswerError(Exception):
    """The endpoint's answer cannot be used. `told`: words of its own."""

    def __init__(self, status: int, told: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.told = told


class FormClient:
    """The phones' part of forms."""

    def __init__(self, store: FormStore, *, app_secret: str) -> None:
        self._store = store
        self._secret = app_secret.encode()
        self._cached: dict[NumberId, str] = {}
        """Public keys as the phones have them; they fetch another only when they are told to (421)."""
        self._open: dict[str, _Open] = {}
        self._made = 0
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(
            timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    def reset(self) -> None:
        self._open.clear()

    # -------------------------------------------------------------- what a person does

    async def open(
        self, number: NumberId, form: MetaForm, *, message: str, token: str, screen: str, data: JSON
    ) -> Shown:
        """Tap the button: with a first screen it is shown at once, without one the endpoint says which."""
        self._made += 1
        at = _Open(id=f"f{self._made}", number=number, form=form, token=token, message=message)
        self._open[at.id] = at
        while len(self._open) > OPEN_MAX:
            del self._open[next(iter(self._open))]
        if screen:
            return self._show(at, screen, data)
        return await self._exchange(at, {"action": "INIT"}, lambda _closed: None)

    async def submit(self, id: str, values: JSON, write: Callable[[str, Filled], object]) -> Shown:
        """Tap the button at the foot of the screen.

        Args:
            write: sends the form's answer into the chat, as an answer to the message that opened it.

        Raises:
            WorldError: a required field is empty; there is no such form.
        """
        at = self._at(id)
        name, data = at.path[-1]
        screen = at.form.screens[name]
        if empty := missing(screen, values):
            raise WorldError(f"needed: {', '.join(empty)}")
        at.typed[name] = values
        action = action_of(screen)
        payload = filled(action.get("payload", {}), data, values)
        assert isinstance(payload, dict)

        def close(told: JSON) -> None:
            token = str(told.pop("flow_token", at.token))
            write(at.message, Filled(token, told))

        match action.get("name"):
            case "navigate":
                following = action.get("next")
                to = str(following.get("name")) if isinstance(following, dict) else ""
                return self._show(at, to, payload)
            case "complete":
                close(payload)
                return self._close(at)
            case _:
                asked: JSON = {"action": "data_exchange", "screen": name, "data": payload}
                return await self._exchange(at, asked, close)

    async def back(self, id: str) -> Shown:
        """Go one screen back: the phone remembers it, unless the screen says that the endpoint is to be asked."""
        at = self._at(id)
        name, _ = at.path[-1]
        if at.form.screens[name].get("refresh_on_back") is True:
            at.path = at.path[:-1]
            return await self._exchange(at, {"action": "BACK", "screen": name}, lambda _c: None)
        if len(at.path) < 2:
            return self._close(at)
        at.path = at.path[:-1]
        before, data = at.path.pop()
        return self._show(at, before, data)

    async def ping(self, number: NumberId, form: MetaForm) -> Shown:
        """Meta's health check of an endpoint."""
        at = _Open(id="", number=number, form=form, token="", message="")
        started = time.perf_counter()
        try:
            status, answer = await self._ask(at, {"action": "ping"})
        except _NoAnswerError as error:
            return Shown(form="", error=BROKEN, status=error.status, took_ms=_ms(started))
        active = answer == {"data": {"status": "active"}}
        return Shown(form="", error="" if active else BROKEN, status=status, took_ms=_ms(started))

    # -------------------------------------------------------------- screens

    def _at(self, id: str) -> _Open:
        found = self._open.get(id)
        if found is None:
            raise WorldError("no such form is open")
        return found

    def _show(
        self, at: _Open, name: str, data: JSON, *, status: int = 0, took_ms: int = 0
    ) -> Shown:
        behind = [each for each, _ in at.path]
        if name in behind:
            at.path = at.path[: behind.index(name)]
        at.path.append((name, data))
        screen = shown(
            at.form.screens[name], data, at.typed.get(name, {}), can_go_back=len(at.path) > 1
        )
        return Shown(form=at.id, screen=screen, status=status, took_ms=took_ms)

    def _close(self, at: _Open, *, error: str = "", status: int = 0, took_ms: int = 0) -> Shown:
        self._open.pop(at.id, None)
        return Shown(form="", error=error, status=status, took_ms=took_ms)

    async def _exchange(self, at: _Open, asked: JSON, close: Callable[[JSON], None]) -> Shown:
        started = time.perf_counter()
        try:
            status, answer = await self._ask(at, asked)
        except _NoAnswerError as error:
            return self._close(
                at, error=error.told or BROKEN, status=error.status, took_ms=_ms(started)
            )
        took_ms = _ms(started)
        name, data = answer.get("screen"), answer.get("data", {})
        if name == SUCCESS and isinstance(data, dict):
            told = data.get("extension_message_response", {})
            params = told.get("params", {}) if isinstance(told, dict) else {}
            close(dict(params))
            return self._close(at, status=status, took_ms=took_ms)
        if not isinstance(name, str) or not isinstance(data, dict) or not self._leads(at, name):
            notice: JSON = {"error": "INVALID_SCREEN_TRANSITION", "error_message": str(name)}
            with suppress(_NoAnswerError):
                await self._ask(at, {**asked, "data": notice})
            return self._close(at, error=BROKEN, status=status, took_ms=took_ms)
        return self._show(at, name, data, status=status, took_ms=took_ms)

    def _leads(self, at: _Open, name: str) -> bool:
        """Whether the routes allow the screen: the first one, the one shown, one behind it, or one that it leads to."""
        if name not in at.form.screens:
            return False
        if not at.path or name in [each for each, _ in at.path]:
            return True
        return name in at.form.routes.get(at.path[-1][0], [])

    # -------------------------------------------------------------- the wire

    async def _ask(self, at: _Open, asked: JSON) -> tuple[int, JSON]:
        if at.number not in self._cached:
            self._fetch(at.number)
        status, answer = await self._post(at, asked)
        if status == CANNOT_OPEN:
            self._fetch(at.number)
            status, answer = await self._post(at, asked)
        if status == OVER:
            raise _NoAnswerError(status, str(answer.get("error_msg", "")))
        if status != HTTPStatus.OK:
            raise _NoAnswerError(status)
        return status, answer

    def _fetch(self, number: NumberId) -> None:
        if number not in self._store.keys:
            raise _NoAnswerError(0)
        self._cached[number] = self._store.keys[number]

    async def _post(self, at: _Open, asked: JSON) -> tuple[int, JSON]:
        assert self._session is not None, "ask only while running"
        key, vector = os.urandom(16), os.urandom(16)
        body = self._envelope(at, {"version": "3.0", "flow_token": at.token, **asked}, key, vector)
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": "sha256=" + hmac.new(self._secret, body, sha256).hexdigest(),
        }
        try:
            async with self._session.post(
                at.form.endpoint, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status, _opened(await response.text(), key, vector)
        except (aiohttp.ClientError, aiohttp.InvalidURL, TimeoutError, OSError) as error:
            raise _NoAnswerError(0) from error

    def _envelope(self, at: _Open, asked: JSON, key: bytes, vector: bytes) -> bytes:
        public = serialization.load_pem_public_key(self._cached[at.number].encode())
        assert isinstance(public, rsa.RSAPublicKey)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        parts = {
            "encrypted_flow_data": AESGCM(key).encrypt(vector, msgspec.json.encode(asked), None),
            "encrypted_aes_key": public.encrypt(key, oaep),
            "initial_vector": vector,
        }
        return msgspec.json.encode(
            {name: base64.b64encode(part).decode() for name, part in parts.items()}
        )


def _opened(text: str, key: bytes, vector: bytes) -> JSON:
    """A sealed answer; empty if it is none."""
    try:
        sealed = base64.b64decode(text, validate=True)
        inverted = bytes(byte ^ 0xFF for byte in vector)
        return msgspec.json.decode(AESGCM(key).decrypt(inverted, sealed, None), type=JSON)
    except (ValueError, InvalidTag, msgspec.DecodeError):
        return {}


def _ms(started: float) -> int:
    return int((time.perf_counter() - started) * 1000)
