"""An event of Clerk's is durable before it is answered; whatever is not Clerk's is refused, and never with 500."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from handlers.clerk.webhook import PATH, ClerkWebhook
from handlers.standard_webhooks import (
    BODY_BYTES_MAX,
    READING_BYTES_MAX,
    Receiver,
    read_secrets,
    sign,
)
from tests.handlers.clerk.fake import KEY, WEBHOOK_SECRET, FakeClerk, User
from tests.handlers.errands import Counts, Errands, Watch

OLD_KEY = b"the key before this one, 32 byte"
ANA = User(
    "user_1",
    2_000,
    phones=[
        ("+56961234567", "verified", "phone_code"),
        ("+56961234568", "unverified", "phone_code"),
        ("+56961234569", "verified", "admin"),
        ("nonsense", "verified", "phone_code"),
    ],
    emails=[
        ("Ana@Example.com", "verified", "email_code"),
        ("b@example.com", "expired", "email_link"),
    ],
)


@pytest.fixture
def errands() -> Errands:
    return Errands()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def client(errands: Errands, watch: Watch) -> AsyncIterator[TestClient[Any, Any]]:
    receiver = Receiver((*read_secrets(WEBHOOK_SECRET), OLD_KEY), clock=watch)
    app = web.Application()
    app.add_routes(ClerkWebhook(receiver, errands=errands, meter=Counts()).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def posts(client: TestClient[Any, Any], body: bytes, headers: dict[str, str]) -> int:
    async with client.post(PATH, data=body, headers=headers) as response:
        return response.status


async def event(
    client: TestClient[Any, Any], watch: Watch, kind: str = "user.created", *, id: str = "msg_1"
) -> int:
    fake = FakeClerk()
    body = fake.event(kind, ANA)
    return await posts(client, body, fake.headers(body, id=id, at=watch.s))


async def test_what_is_heard_is_what_the_user_proved(
    client: TestClient[Any, Any], errands: Errands, watch: Watch
) -> None:
    assert await event(client, watch) == 200

    [(kind, about, body)] = errands.items
    assert (kind, about) == ("clerk", "user_1")
    assert json.loads(body) == {
        "type": "seen",
        "id": "user_1",
        "at": 2_000,
        "phones": ["56961234567"],
        "emails": ["ana@example.com"],
    }


async def test_a_deletion_names_the_user_alone(
    client: TestClient[Any, Any], errands: Errands, watch: Watch
) -> None:
    assert await event(client, watch, "user.deleted") == 200

    assert [json.loads(body) for _, _, body in errands.items] == [{"type": "gone", "id": "user_1"}]


async def test_the_same_id_twice_has_one_effect(
    client: TestClient[Any, Any], errands: Errands, watch: Watch
) -> None:
    assert [await event(client, watch) for _ in range(3)] == [200, 200, 200]

    assert len(errands.items) == 1


async def test_an_event_of_something_else_is_taken_and_passed_over(
    client: TestClient[Any, Any], errands: Errands, watch: Watch
) -> None:
    assert await event(client, watch, "organization.created") == 200

    assert errands.items == []


async def test_200_comes_after_it_is_durable_and_503_when_it_is_not(
    client: TestClient[Any, Any], errands: Errands, watch: Watch
) -> None:
    errands.down = True
    fake = FakeClerk()
    body = fake.event("user.created", ANA)
    headers = fake.headers(body, id="msg_1", at=watch.s)

    async with client.post(PATH, data=body, headers=headers) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")

    errands.down = False
    assert await event(client, watch) == 200
    assert len(errands.items) == 1


def _headers(**changed: str | None) -> dict[str, str]:
    body = FakeClerk().event("user.created", ANA)
    headers = FakeClerk().headers(body, id="msg_1", at=Watch().s)
    told = headers | {
        name.replace("_", "-"): value for name, value in changed.items() if value is not None
    }
    return {
        name: value
        for name, value in told.items()
        if changed.get(name.replace("-", "_"), "") is not None
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(
            _headers(svix_id=None, svix_timestamp=None, svix_signature=None), 400, id="missing"
        ),
        pytest.param(_headers(svix_signature=None), 400, id="no-signature"),
        pytest.param(_headers(svix_signature=""), 400, id="empty"),
        pytest.param(_headers(svix_signature="AAAA"), 400, id="no-comma"),
        pytest.param(_headers(svix_signature="v1,AAAA,BBBB"), 400, id="two-commas"),
        pytest.param(_headers(svix_signature="v2,AAAA"), 401, id="v2-only"),
        pytest.param(_headers(svix_signature="v1,ñandú"), 401, id="non-base64"),
        pytest.param(_headers(svix_timestamp="now"), 400, id="odd-time"),
        pytest.param(_headers(svix_id="x y"), 400, id="odd-id"),
        pytest.param(_headers(Content_Type="text/plain"), 415, id="wrong-content-type"),
        pytest.param(_headers(Content_Type="application/x-www-form-urlencoded"), 415, id="a-form"),
    ],
)
async def test_malformed_headers_never_500(
    client: TestClient[Any, Any], errands: Errands, headers: dict[str, str], status: int
) -> None:
    body = FakeClerk().event("user.created", ANA)

    assert await posts(client, body, headers) == status
    assert errands.items == []


async def test_bytes_that_no_header_should_hold_never_500(
    client: TestClient[Any, Any], errands: Errands
) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"svix-id: msg_1\r\nsvix-timestamp: 1764300000\r\nsvix-signature: v1,\xff\xfe\r\nContent-Length: 2\r\n\r\n{}"
    )
    status = (await reader.readline()).split()[1]
    writer.close()

    assert status == b"401"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"type": "user.created"}',
        b'{"type": "user.created", "data": {"id": "user_1"}}',
        b'{"type": "user.created", "data": {"id": "../user", "updated_at": 1}}',
        b'{"type": "user.created", "data": {"id": "user_1", "updated_at": "now"}}',
        b'{"type": "user.created", "data": {"id": "user_1", "updated_at": -1}}',
        b'{"type": "user.created", "data": {"id": "user_1", "updated_at": 999999999999999999999}}',
        b'{"type": "user.created", "data": {"id": "user_1", "updated_at": 1, "phone_numbers": [7]}}',
        b'{"type": "user.deleted", "data": {"deleted": true}}',
        b'{"type": "user.deleted", "data": "\xff"}',
    ],
)
async def test_a_signed_body_that_is_not_clerk_s_is_400(
    client: TestClient[Any, Any], errands: Errands, watch: Watch, body: bytes
) -> None:
    headers = FakeClerk().headers(body, id="msg_1", at=watch.s)

    assert await posts(client, body, headers) == 400
    assert errands.items == []


async def test_a_body_over_the_limit_is_413(
    client: TestClient[Any, Any], errands: Errands, watch: Watch
) -> None:
    body = b" " * (BODY_BYTES_MAX + 1)

    async def in_pieces() -> AsyncIterator[bytes]:
        yield body

    headers = FakeClerk().headers(body, id="msg_1", at=watch.s)
    for data in (io.BytesIO(body), in_pieces()):
        async with client.post(PATH, data=data, headers=headers) as response:
            assert response.status == 413


async def test_bodies_that_come_in_slowly_are_given_up_and_keep_nobody_waiting(
    errands: Errands, watch: Watch
) -> None:
    receiver = Receiver(read_secrets(WEBHOOK_SECRET), clock=watch, body_s=0.5)
    app = web.Application()
    app.add_routes(ClerkWebhook(receiver, errands=errands, meter=Counts()).routes())
    async with TestClient(TestServer(app)) as client:
        slow = [await asyncio.open_connection(client.host, client.port) for _ in range(100)]
        for _, writer in slow:
            writer.write(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
                + b"Content-Length: 1000\r\n\r\n{"
            )

        assert await event(client, watch) == 200
        for reader, writer in slow:
            assert (await reader.readline()).split()[1] == b"408"
            writer.close()


async def test_what_is_too_much_at_once_is_refused_and_may_come_again(
    client: TestClient[Any, Any], watch: Watch
) -> None:
    full = READING_BYTES_MAX // (BODY_BYTES_MAX - 1) + 1
    slow = [await asyncio.open_connection(client.host, client.port) for _ in range(full)]
    for _, writer in slow:
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
            + f"Content-Length: {BODY_BYTES_MAX}\r\n\r\n".encode()
            + b" " * (BODY_BYTES_MAX - 1)
        )
        await writer.drain()

    done, _ = await asyncio.wait(
        [asyncio.create_task(reader.readline()) for reader, _ in slow],
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert [(await each).split()[1] for each in done] == [b"503"]
    for _, writer in slow:
        writer.close()

    while (status := await event(client, watch)) == 503:
        pass  # until the server has seen that they left
    assert status == 200


@pytest.mark.parametrize(("off_s", "status"), [(-301, 401), (-299, 200), (299, 200), (301, 401)])
async def test_299_and_301_seconds(
    client: TestClient[Any, Any], watch: Watch, off_s: int, status: int
) -> None:
    body = FakeClerk().event("user.created", ANA)
    headers = FakeClerk().headers(body, id="msg_1", at=watch.s + off_s)

    assert await posts(client, body, headers) == status


async def test_one_changed_byte_is_401(client: TestClient[Any, Any], watch: Watch) -> None:
    body = FakeClerk().event("user.created", ANA)
    headers = FakeClerk().headers(body, id="msg_1", at=watch.s)

    assert await posts(client, body.replace(b"user_1", b"user_2"), headers) == 401


async def test_the_secret_that_is_being_replaced_still_counts(
    client: TestClient[Any, Any], watch: Watch
) -> None:
    body = FakeClerk().event("user.created", ANA)
    headers = FakeClerk().headers(body, id="msg_1", at=watch.s)
    for key, status in ((OLD_KEY, 200), (KEY, 200), (b"x" * 32, 401)):
        headers["svix-signature"] = sign("msg_1", watch.s, body, key)
        assert await posts(client, body, headers) == status
