"""The forms' endpoint: Meta's client asks in an envelope of its own, and its answers are a closed vocabulary."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bot.people.tickets import Tickets
from bot.store.secrets import Key, SecretBox
from flows.dialog.ctx import Ctx
from flows.dialog.screens import Close, Screens, Show, Turned
from flows.values.ids import ContactId, ConversationId
from handlers.ports import Channel, FormTicket
from handlers.whatsapp.form_cipher import CipherError, Envelope, FormKey, FormKeys
from handlers.whatsapp.forms import Forms
from tests.handlers.whatsapp.bodies import SECRET, WROTE, signed
from tests.handlers.whatsapp.doubles import CHANNEL, TICKETS, Counts, Phonebook, Watch

KEY = FormKey.new()
OTHER_KEY = FormKey.new()
TICKET = FormTicket(
    form="signup",
    conversation=ConversationId("c"),
    contact=ContactId("p"),
    locale="es_CL",
    until_ms=(WROTE + 3600) * 1000,
)

Client = TestClient[web.Request, web.Application]


def signup(turned: Turned, ctx: Ctx) -> Show | Close:
    """A form of one question, answered when it is "yes"."""
    if turned.data.get("answer") == "yes":
        return Close({"contact": ctx.contact})
    wrong = {"answer": "not_yes"} if turned.how == "sent" else {}
    return Show("ASK", {"came": turned.how, "from": turned.screen}, wrong)


class Phone:
    """WhatsApp's client, as Meta's own example writes it: its public key, its AES key, its vector."""

    def __init__(self, public_pem: str = KEY.public_pem()) -> None:
        key = serialization.load_pem_public_key(public_pem.encode())
        assert isinstance(key, rsa.RSAPublicKey)
        self.key, self.aes, self.iv = key, os.urandom(16), os.urandom(16)

    def envelope(self, ask: object) -> dict[str, str]:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        parts = {
            "encrypted_flow_data": AESGCM(self.aes).encrypt(
                self.iv, json.dumps(ask).encode(), None
            ),
            "encrypted_aes_key": self.key.encrypt(self.aes, oaep),
            "initial_vector": self.iv,
        }
        return {name: base64.b64encode(part).decode() for name, part in parts.items()}

    def read(self, answer: str) -> Any:
        inverted = bytes(byte ^ 0xFF for byte in self.iv)
        return json.loads(AESGCM(self.aes).decrypt(inverted, base64.b64decode(answer), None))


class Desk:
    def __init__(self, client: Client, phone: Phone, clock: Watch, counts: Counts) -> None:
        self.client, self.phone, self.clock, self.counts = client, phone, clock, counts
        self.channel: Channel = Phonebook().channels[CHANNEL]

    async def post(
        self, body: bytes, *, signature: str | None = None, channel: str = CHANNEL
    ) -> tuple[int, str]:
        headers = {"X-Hub-Signature-256": signed(body) if signature is None else signature}
        path = f"/webhooks/whatsapp/forms/{channel}"
        async with self.client.post(path, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def ask(self, action: str, **fields: object) -> tuple[int, Any]:
        """One exchange, its answer opened if it is sealed."""
        asked: dict[str, object] = {
            "version": "3.0",
            "action": action,
            "flow_token": TICKETS.seal(self.channel, TICKET),
        }
        body = json.dumps(self.phone.envelope(asked | fields)).encode()
        status, text = await self.post(body)
        return status, self.phone.read(text) if text else None


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock, counts, book = Watch(), Counts(), Phonebook()
    book.keys[CHANNEL] = KEY.private_pem()
    forms = Forms(
        {"signup": Screens("shop", signup, ("not_yes",))},
        app_secrets=[SECRET],
        directory=book,
        tickets=TICKETS,
        words=lambda key, ctx: f"{key} ({ctx.locale}, {ctx.firm.name})",
        clock=clock,
        meter=counts,
    )
    app = web.Application()
    app.add_routes(forms.routes())
    async with TestClient(TestServer(app)) as client:
        yield Desk(client, Phone(), clock, counts)


async def test_metas_health_check_is_answered(desk: Desk) -> None:
    assert await desk.ask("ping") == (200, {"data": {"status": "active"}})


@pytest.mark.parametrize(
    ("action", "how"),
    [("INIT", "opened"), ("data_exchange", "sent"), ("BACK", "back")],
)
async def test_each_turn_of_a_page_is_answered_by_the_form(
    desk: Desk, action: str, how: str
) -> None:
    status, answer = await desk.ask(action, screen="ASK", data={"answer": "no"})

    assert (status, answer["screen"]) == (200, "ASK")
    assert (answer["data"]["came"], answer["data"]["from"]) == (how, "ASK")


async def test_what_does_not_fit_is_said_below_its_field(desk: Desk) -> None:
    told = [
        await desk.ask("data_exchange", screen="ASK", data={"answer": "no"}),
        await desk.ask("INIT"),
    ]

    errors = [answer["data"]["errors"] for _, answer in told]
    assert errors == [{"answer": "shop.form.not_yes (es_CL, Panadería)"}, {}]


async def test_a_complete_form_closes_and_keeps_its_token(desk: Desk) -> None:
    token = TICKETS.seal(desk.channel, TICKET)
    status, answer = await desk.ask(
        "data_exchange", screen="ASK", data={"answer": "yes"}, flow_token=token
    )

    assert status == 200
    assert answer["screen"] == "SUCCESS"
    params = answer["data"]["extension_message_response"]["params"]
    assert params == {"contact": "p", "flow_token": token}


async def test_what_the_client_could_not_show_is_acknowledged_and_counted(desk: Desk) -> None:
    answer = await desk.ask("data_exchange", screen="ASK", data={"error": "INVALID_SCREEN"})

    assert answer == (200, {"data": {"acknowledged": True}})
    assert desk.counts.counted["form", "client_error"] == 1


async def test_an_old_form_is_closed_with_words(desk: Desk) -> None:
    desk.clock.ms = TICKET.until_ms
    status, answer = await desk.ask("INIT")

    assert status == 427
    assert answer == {"error_msg": "bot.form_expired (es_CL, Panadería)"}


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="none"),
        pytest.param("k1.AAAA", id="made-up"),
        pytest.param(
            TICKETS.seal(Channel(*("x",) * 5), TICKET),  # type: ignore[arg-type]  # another channel of another firm
            id="of-another-channel",
        ),
        pytest.param(
            Tickets(SecretBox((Key("k1", b"\1" * 32),))).seal(
                Phonebook().channels[CHANNEL], TICKET
            ),
            id="under-another-key",
        ),
    ],
)
async def test_a_token_that_is_not_ours_opens_nothing(desk: Desk, token: str) -> None:
    status, _ = await desk.ask("data_exchange", screen="ASK", data={}, flow_token=token)

    assert status == 427


async def test_who_does_not_sign_is_refused_before_anything_is_opened(desk: Desk) -> None:
    body = json.dumps(desk.phone.envelope({"action": "ping"})).encode()

    assert await desk.post(body, signature="sha256=00") == (432, "")


async def test_an_envelope_for_another_key_makes_the_client_fetch_ours(desk: Desk) -> None:
    body = json.dumps(Phone(OTHER_KEY.public_pem()).envelope({"action": "ping"})).encode()

    assert await desk.post(body) == (421, "")


async def test_a_number_that_is_not_ours_is_not_there(desk: Desk) -> None:
    body = json.dumps(desk.phone.envelope({"action": "ping"})).encode()

    assert (await desk.post(body, channel="nobody"))[0] == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"encrypted_flow_data": 1}'])
async def test_what_is_no_envelope_is_refused(desk: Desk, body: bytes) -> None:
    assert (await desk.post(body))[0] == 400


async def test_a_request_may_come_in_pieces_and_with_nulls(desk: Desk) -> None:
    asked = {
        "action": "INIT",
        "screen": None,
        "data": None,
        "flow_token": TICKETS.seal(desk.channel, TICKET),
    }
    body = json.dumps(desk.phone.envelope(asked)).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 300):
            yield body[start : start + 300]
            await asyncio.sleep(0.002)

    path, headers = f"/webhooks/whatsapp/forms/{CHANNEL}", {"X-Hub-Signature-256": signed(body)}
    async with desk.client.post(path, data=pieces(), headers=headers) as answer:
        assert (answer.status, desk.phone.read(await answer.text())["screen"]) == (200, "ASK")


async def test_what_is_too_large_is_refused(desk: Desk) -> None:
    assert (await desk.post(b"x" * (256 * 1024 + 1)))[0] == 413


@given(
    field=st.sampled_from(["encrypted_flow_data", "encrypted_aes_key", "initial_vector"]),
    value=st.one_of(
        st.text(max_size=40), st.binary(max_size=300).map(lambda b: base64.b64encode(b).decode())
    ),
)
def test_a_changed_envelope_never_opens(field: str, value: str) -> None:
    envelope = Phone().envelope({"action": "ping"}) | {field: value}

    with pytest.raises(CipherError):
        KEY.open(Envelope(**envelope))


def test_a_key_survives_being_stored() -> None:
    again = FormKey.load(KEY.private_pem())

    assert again.public_pem() == KEY.public_pem()
    with pytest.raises(ValueError, match=r"PEM|key"):
        FormKey.load("not a key")


def test_while_keys_are_exchanged_both_are_read_with() -> None:
    keys = FormKeys.load(FormKeys([OTHER_KEY, KEY]).pem())

    for pem in (KEY.public_pem(), OTHER_KEY.public_pem()):
        asked, _ = keys.open(Envelope(**Phone(pem).envelope({"action": "ping"})))
        assert json.loads(asked) == {"action": "ping"}
    with pytest.raises(CipherError):
        keys.open(Envelope(**Phone(FormKey.new().public_pem()).envelope({})))
    with pytest.raises(ValueError, match="no key"):
        FormKeys.load("not a key")
