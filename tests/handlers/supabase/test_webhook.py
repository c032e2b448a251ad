"""Supabase's codes are handed over once, whatever Supabase repeats; what is not Supabase's never gets a code sent."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from flows.values.phone import WaId
from handlers.ports import StoreDownError
from handlers.standard_webhooks import Receiver, read_secrets
from handlers.supabase.codes import Sent
from handlers.supabase.webhook import PATH, SupabaseHook
from tests.handlers.errands import Counts, Watch
from tests.handlers.supabase.fake import KEY, OTHER_KEY, SECRET, USER, body, calls, headers

DAY = 20_784  # 2026-11-27, when the user last changed


class Codes:
    """Carries each code once."""

    def __init__(self) -> None:
        self.sent: list[tuple[WaId, str, str]] = []
        self.days: set[int] = set()
        self.orders: set[tuple[str, str, int]] = set()
        self.answer = Sent.SENT
        self.down = False

    async def send(self, phone: WaId, code: str, *, user: str, locale: str, day: int) -> Sent:
        if self.down:
            raise StoreDownError("down")
        if self.answer is not Sent.SENT:
            return self.answer
        self.days.add(day)
        if (user, code, day) in self.orders:
            return Sent.AGAIN
        self.orders.add((user, code, day))
        self.sent.append((phone, code, locale))
        return Sent.SENT


@pytest.fixture
def codes() -> Codes:
    return Codes()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def client(codes: Codes, watch: Watch) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application()
    receiver = Receiver(read_secrets(SECRET), clock=watch)
    app.add_routes(SupabaseHook(receiver, codes=codes, meter=Counts()).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def supabase(
    client: TestClient[Any, Any], watch: Watch, payload: bytes, **how: int
) -> dict[str, Any]:
    return await calls(client.session, str(client.make_url(PATH)), payload, watch.s, **how)


async def status(client: TestClient[Any, Any], payload: bytes, given: dict[str, str]) -> int:
    async with client.post(PATH, data=payload, headers=given) as response:
        return response.status


async def test_a_code_is_handed_over_and_supabase_is_told_so(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    assert await supabase(client, watch, body()) == {}

    assert codes.sent == [(WaId("56961234567"), "561166", "")]
    assert codes.days == {DAY}


async def test_a_try_under_a_new_id_sends_no_second_message(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    assert await supabase(client, watch, body(), lose_answers=2) == {}

    assert len(codes.sent) == 1


async def test_tries_on_both_sides_of_midnight_are_one(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    watch.ms = 20_785 * 86_400_000 - 1
    assert await status(client, payload := body(), headers(payload, watch.s)) == 200
    watch.ms += 2
    assert await status(client, payload, headers(payload, watch.s)) == 200

    assert len(codes.sent) == 1


async def test_another_code_is_another_message(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    await supabase(client, watch, body(code="111111"))
    await supabase(client, watch, body(code="222222"))

    assert [code for _, code, _ in codes.sent] == ["111111", "222222"]


@pytest.mark.parametrize(
    "keys", [(KEY, OTHER_KEY), (OTHER_KEY, KEY)], ids=["first-valid", "second-valid"]
)
async def test_signatures_joined_by_a_comma_and_a_blank(
    client: TestClient[Any, Any], codes: Codes, watch: Watch, keys: tuple[bytes, ...]
) -> None:
    payload = body()
    given = headers(payload, watch.s, keys=keys)

    assert ", v1," in given["webhook-signature"]
    assert await status(client, payload, given) == 200
    assert len(codes.sent) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"webhook-signature": ""}, 400, id="empty"),
        pytest.param({"webhook-signature": "AAAA"}, 400, id="no-comma"),
        pytest.param({"webhook-signature": "v1,AA,BB"}, 400, id="two-commas"),
        pytest.param({"webhook-signature": "v2,AA"}, 401, id="v2-only"),
        pytest.param({"webhook-signature": "v1,ñ"}, 401, id="non-base64"),
        pytest.param({"webhook-id": ""}, 400, id="no-id"),
        pytest.param({"webhook-timestamp": "soon"}, 400, id="odd-time"),
        pytest.param({"Content-Type": "text/plain"}, 415, id="wrong-content-type"),
    ],
)
async def test_malformed_headers_never_500(
    client: TestClient[Any, Any], codes: Codes, watch: Watch, change: dict[str, str], expected: int
) -> None:
    payload = body()

    assert await status(client, payload, headers(payload, watch.s) | change) == expected
    assert codes.sent == []


async def test_another_project_s_secret_sends_nothing(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    payload = body()

    assert await status(client, payload, headers(payload, watch.s, keys=(OTHER_KEY,))) == 401
    assert codes.sent == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"user": {"id": "x"}, "sms": {}}',
        body(code=""),
        body(code="1234567890123456"),
        body(code="12 34"),
        body(code="<script>"),
        body(user=""),
    ],
)
async def test_a_signed_body_that_is_not_supabase_s_is_400(
    client: TestClient[Any, Any], codes: Codes, watch: Watch, payload: bytes
) -> None:
    assert await status(client, payload, headers(payload, watch.s)) == 400
    assert codes.sent == []


async def test_a_phone_that_cannot_be_one_is_told_to_the_one_who_logs_in(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    told = await supabase(client, watch, body("12"))

    assert told == {"http_code": 422, "message": "phone_invalid"}
    assert codes.sent == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Sent.COUNTRY, {"http_code": 422, "message": "phone_country_not_served"}),
        (Sent.TOO_MANY, {"http_code": 429, "message": "too_many_codes"}),
    ],
)
async def test_what_keeps_a_code_from_being_sent_is_told(
    client: TestClient[Any, Any], codes: Codes, watch: Watch, answer: Sent, told: dict[str, Any]
) -> None:
    codes.answer = answer

    assert await supabase(client, watch, body()) == told


async def test_nothing_is_acknowledged_that_is_not_durable(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    codes.down = True
    assert (await supabase(client, watch, body()))["http_code"] == 500

    codes.down = False
    assert await supabase(client, watch, body()) == {}


async def test_without_a_number_of_the_platform_s_supabase_tries_again(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    codes.answer = Sent.NO_CHANNEL

    assert (await supabase(client, watch, body()))["http_code"] == 500


@pytest.mark.parametrize(
    ("metadata", "locale"),
    [
        ({}, ""),
        (None, ""),
        ({"locale": "es-CL"}, "es_CL"),
        ({"locale": "en-US"}, "en"),
        ({"lang": "en"}, "en"),
        ({"locale": 7}, ""),
        ({"locale": ["en"]}, ""),
    ],
)
async def test_the_user_s_own_words_choose_a_language_and_nothing_else(
    client: TestClient[Any, Any], codes: Codes, watch: Watch, metadata: Any, locale: str
) -> None:
    await supabase(client, watch, body(user_metadata=metadata))

    assert [found for _, _, found in codes.sent] == [locale]


async def test_a_changed_phone_is_the_hook_s_and_not_the_user_s(
    client: TestClient[Any, Any], codes: Codes, watch: Watch
) -> None:
    payload = body("56961234568", user=USER).replace(
        b'"phone": "56961234568", "phone_confirmed_at"',
        b'"phone": "56961234567", "phone_confirmed_at"',
    )

    await supabase(client, watch, payload)

    assert codes.sent[0][0] == "56961234568"
