"""The webhook: proves, keeps, acknowledges; and acknowledges nothing that it has not kept."""

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.test_utils import TestClient, TestServer
from msgspec import structs
from structlog.testing import capture_logs

from flows.values.ids import ChannelId, Wamid
from handlers.journal import StatusSeen
from handlers.ports import Echo, Move, Preference
from handlers.whatsapp.webhook import (
    BODY_BYTES_MAX,
    HEARING_BYTES_MAX,
    PATH,
    READING_BYTES_MAX,
    SignatureError,
    WhatsAppWebhook,
    verify,
)
from tests.bot.lanes.servers import until
from tests.handlers.whatsapp.bodies import (
    SECRET,
    WABA,
    change,
    entry,
    envelope,
    message,
    signed,
    status,
    value,
    webhook,
)
from tests.handlers.whatsapp.doubles import (
    CHANNEL,
    TENANT,
    Carer,
    Counts,
    Ear,
    Phonebook,
    form_tokens,
)
from tests.handlers.whatsapp.test_corpus import CORPUS

VERIFY_TOKEN = "a-verify-token"
OLD_SECRET = "the-secret-before"
NEW = ChannelId("1a0c7a2e-0000-4000-8000-000000000009")

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def carer() -> Carer:
    return Carer()


@pytest.fixture
def phonebook() -> Phonebook:
    return Phonebook()


@pytest.fixture
async def client(
    ear: Ear, carer: Carer, counts: Counts, phonebook: Phonebook
) -> AsyncIterator[Client]:
    hook = WhatsAppWebhook(
        app_secrets=[SECRET, OLD_SECRET],
        verify_token=VERIFY_TOKEN,
        directory=phonebook,
        intake=ear,
        care=carer,
        forms=form_tokens(Phonebook()),
        meter=counts,
    )
    app = web.Application()
    app.add_routes(hook.routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(client: Client, body: bytes, signature: str | None = None) -> int:
    headers = {"X-Hub-Signature-256": signed(body) if signature is None else signature}
    async with client.post(PATH, data=body, headers=headers) as response:
        return response.status


# ------------------------------------------------------------------ hearing


async def test_a_message_is_kept_before_it_is_acknowledged(client: Client, ear: Ear) -> None:
    assert await post(client, webhook(messages=[message()])) == 200

    (arrival,) = ear.messages.values()
    assert (arrival.channel.tenant, arrival.heard.text) == (TENANT, "hola")


async def test_a_status_is_told_with_its_tenant(client: Client, ear: Ear) -> None:
    failed = status(status="failed", errors=[{"code": 131026}])

    assert await post(client, webhook(statuses=[failed])) == 200

    assert list(ear.statuses.values()) == [
        StatusSeen(
            tenant=TENANT,
            wamid=Wamid("wamid.OUT"),
            status="failed",
            at=1_795_392_000,
            item="wa/c1:7-0",  # type: ignore[arg-type]  # an ItemId
            code=131026,
            channel=CHANNEL,
            country="CL",
        )
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("echo-text", Echo, id="echo"),
        pytest.param("message-system-user-changed-number", Move, id="move"),
        pytest.param("user-preferences-stop", Preference, id="preference"),
        pytest.param("user-preferences-bsuid-and-account-only", Preference, id="account-only"),
    ],
)
async def test_what_is_no_message_is_kept_before_it_is_acknowledged(
    client: Client, ear: Ear, name: str, kind: type
) -> None:
    body = (CORPUS / f"{name}.json").read_bytes()
    ear.down = True
    assert await post(client, body) == 503
    ear.down = False

    assert await post(client, body) == 200

    [happening] = ear.happenings
    assert isinstance(happening, kind)
    assert happening.channel.tenant == TENANT


async def test_a_preference_for_an_account_that_nobody_has_is_counted(
    client: Client, ear: Ear, counts: Counts
) -> None:
    body = (CORPUS / "user-preferences-bsuid-and-account-only.json").read_bytes()

    assert await post(client, body.replace(WABA.encode(), b"999")) == 200

    assert ear.happenings == []
    assert counts.counted["whatsapp_unknown_account", ""] == 1


async def test_a_batch_is_heard_at_once(client: Client, ear: Ear) -> None:
    batch = [message(id=f"m{n}") for n in range(500)]
    flood = [status(id=f"s{n}") for n in range(500)]

    assert await post(client, webhook(messages=batch, statuses=flood)) == 200

    assert (len(ear.messages), len(ear.statuses), ear.calls) == (500, 500, 1)


async def test_what_is_too_much_at_once_is_refused_and_may_come_again(
    client: Client, ear: Ear, counts: Counts
) -> None:
    """While the store hangs, webhooks wait in our memory: so many and no more."""
    body = webhook(messages=[message(id=f"m{n}", text={"body": "x" * 4_000}) for n in range(200)])
    ear.answers.clear()
    fit = HEARING_BYTES_MAX // len(body)
    waiting = [asyncio.create_task(post(client, body)) for _ in range(fit)]
    await until(lambda: ear.waiting == fit)

    assert await post(client, body) == 503
    assert counts.counted["whatsapp_webhook_refused", "busy"] == 1
    assert ear.away == 1

    ear.answers.set()
    assert await asyncio.gather(*waiting) == [200] * fit
    assert await post(client, body) == 200


async def test_what_there_is_no_room_for_is_refused_before_it_is_read(
    client: Client, ear: Ear
) -> None:
    body = webhook(messages=[message(id=f"m{n}", text={"body": "x" * 4_000}) for n in range(200)])
    ear.answers.clear()
    fit = HEARING_BYTES_MAX // len(body)
    waiting = [asyncio.create_task(post(client, body)) for _ in range(fit)]
    await until(lambda: ear.waiting == fit)

    assert await announce(client, len(body)) == 503
    assert ear.away == 1

    ear.answers.set()
    assert await asyncio.gather(*waiting) == [200] * fit


async def test_the_largest_webhooks_are_all_taken_one_after_the_other(
    client: Client, ear: Ear
) -> None:
    for n in range(12):
        text = {"body": "x" * 2_700}
        body = webhook(messages=[message(id=f"m{n}-{k}", text=text) for k in range(1_000)])
        assert BODY_BYTES_MAX * 0.9 < len(body) <= BODY_BYTES_MAX
        headers = {"X-Hub-Signature-256": signed(body)}
        async with client.post(PATH, data=io.BytesIO(body), headers=headers) as response:
            assert response.status == 200

    assert len(ear.messages) == 12_000


async def test_announcements_alone_take_no_room(client: Client) -> None:
    """Who says nothing more keeps nobody out."""
    silent = [
        asyncio.create_task(announce(client, BODY_BYTES_MAX))
        for _ in range(2 * READING_BYTES_MAX // BODY_BYTES_MAX)
    ]
    await asyncio.sleep(0.1)

    assert not any(task.done() for task in silent)
    assert await post(client, BODY + b" " * 900_000) == 200
    for task in silent:
        task.cancel()


async def announce(client: Client, length: int) -> int:
    """The answer to a head whose body does not come."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        writer.write(
            b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), length)
        )
        return int((await asyncio.wait_for(reader.readline(), 5)).split()[1])
    finally:
        writer.transport.abort()


async def test_bodies_that_come_in_slowly_take_a_bounded_room(client: Client) -> None:
    part = b"x" * 2**20
    bodies = READING_BYTES_MAX // (2 * len(part))
    may_end = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield part
        yield part
        await may_end.wait()

    async def post_slowly() -> int:
        async with client.post(PATH, data=slow()) as response:
            return response.status

    tasks = [asyncio.create_task(post_slowly()) for _ in range(bodies + 4)]
    done, waiting = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    may_end.set()
    statuses = {await task for task in (*done, *waiting)}

    assert {await task for task in done} == {503}
    assert statuses == {503, 401}


async def test_a_store_that_is_down_makes_meta_repeat(client: Client, ear: Ear) -> None:
    body = webhook(messages=[message()])
    ear.down = True
    assert await post(client, body) == 503

    ear.down = False

    assert await post(client, body) == 200
    assert len(ear.messages) == 1


async def test_an_unknown_number_is_counted_and_harms_nobody(
    client: Client, ear: Ear, counts: Counts
) -> None:
    body = envelope(
        entry(change(value(messages=[message(id="m1")], number="999"))),
        entry(change(value(messages=[message(id="m2")]))),
    )

    assert await post(client, body) == 200

    assert list(ear.messages) == ["m2"]
    assert counts.counted["whatsapp_unknown_number", ""] == 1


async def test_a_number_that_was_just_added_is_heard(
    client: Client, ear: Ear, counts: Counts, phonebook: Phonebook
) -> None:
    phonebook.added.append(
        structs.replace(phonebook.channels[CHANNEL], id=NEW, phone_number_id="999")
    )
    body = envelope(
        entry(
            change(value(messages=[message()], number="999")),
            change(value(statuses=[status()], number="999")),
        )
    )

    assert await post(client, body) == 200

    assert [arrival.channel.id for arrival in ear.messages.values()] == [NEW]
    assert len(ear.statuses) == 1
    assert counts.counted["whatsapp_unknown_number", ""] == 0


async def test_a_preference_for_an_account_that_was_just_added_is_heard(
    client: Client, ear: Ear, counts: Counts, phonebook: Phonebook
) -> None:
    body = (CORPUS / "user-preferences-bsuid-and-account-only.json").read_bytes()
    phonebook.added.append(structs.replace(phonebook.channels[CHANNEL], id=NEW, waba_id="999"))

    assert await post(client, body.replace(WABA.encode(), b"999")) == 200

    assert [happening.channel.id for happening in ear.happenings] == [NEW]
    assert counts.counted["whatsapp_unknown_account", ""] == 0


async def test_an_unknown_number_is_not_passed_over_while_nobody_can_tell_whether_it_was_added(
    client: Client, ear: Ear, counts: Counts, phonebook: Phonebook
) -> None:
    phonebook.readable = False
    body = envelope(entry(change(value(messages=[message()], number="999"))))

    assert await post(client, body) == 503

    assert (ear.calls, ear.away) == (0, 1)
    assert counts.counted["whatsapp_webhook_refused", "unknown_number"] == 1


async def test_a_known_number_waits_for_no_directory(client: Client, phonebook: Phonebook) -> None:
    assert await post(client, webhook(messages=[message()])) == 200
    assert phonebook.looks == 0


async def test_other_fields_are_counted(client: Client, ear: Ear, counts: Counts) -> None:
    body = envelope(entry(change({"event": "APPROVED"}, "message_template_status_update")))

    assert await post(client, body) == 200

    assert counts.counted["whatsapp_notice", "message_template_status_update"] == 1
    assert ear.calls == 0


# ------------------------------------------------------------------ attacks

BODY = webhook(messages=[message()])


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="empty"),
        pytest.param(signed(BODY, "another-secret"), id="another-secret"),
        pytest.param(signed(BODY + b" "), id="of-another-body"),
        pytest.param(signed(BODY).upper(), id="upper-case"),
        pytest.param("sha256=" + signed(BODY)[7:].upper(), id="upper-case-hex"),
        pytest.param(signed(BODY)[7:], id="no-prefix"),
        pytest.param("sha1=" + signed(BODY)[7:], id="other-algorithm"),
        pytest.param(signed(BODY)[:-1], id="cut"),
        pytest.param(signed(BODY) + "0", id="longer"),
        pytest.param(signed(BODY) + ", " + signed(BODY), id="twice"),
        pytest.param("sha256=ñandú", id="not-ascii"),
        pytest.param("sha256=" + "٣" * 64, id="other-digits"),
        pytest.param("sha256=" + "0" * 7000, id="long"),
    ],
)
async def test_what_meta_did_not_sign_is_refused(client: Client, ear: Ear, signature: str) -> None:
    assert await post(client, BODY, signature) == 401
    assert ear.calls == 0


async def test_a_body_without_signature_is_refused(client: Client, ear: Ear) -> None:
    async with client.post(PATH, data=BODY) as response:
        assert response.status == 401
    assert ear.calls == 0


async def test_a_signature_of_raw_bytes_is_refused(client: Client) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        writer.write(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n"
            b"X-Hub-Signature-256: sha256=\xff\xfe\xed\r\n\r\n%s" % (PATH.encode(), len(BODY), BODY)
        )
        answer = await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()

    assert answer.split()[1] == b"401"


async def test_garbage_is_not_even_parsed_without_a_signature(client: Client) -> None:
    assert await post(client, b"{", "sha256=00") == 401
    assert await post(client, b"{") == 400


async def test_while_a_secret_is_replaced_both_are_good(client: Client) -> None:
    assert await post(client, BODY, signed(BODY, OLD_SECRET)) == 200


def test_verify_accepts_meta_own_signature_only() -> None:
    verify(BODY, signed(BODY).encode(), [SECRET.encode()])

    with pytest.raises(SignatureError):
        verify(BODY, signed(BODY).encode(), [b"another"])
    with pytest.raises(SignatureError):
        verify(BODY, signed(BODY).encode(), [])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(BODY_BYTES_MAX, 200, id="three-megabytes"),
        pytest.param(BODY_BYTES_MAX + 1, 413, id="one-byte-more"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
async def test_a_body_has_a_limit(client: Client, size: int, expected: int, chunked: bool) -> None:
    body = BODY + b" " * (size - len(BODY))

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    headers = {"X-Hub-Signature-256": signed(body)}
    url = client.make_url(PATH)
    async with (
        ClientSession(connector=TCPConnector(force_close=True)) as session,
        session.post(
            url, data=chunks() if chunked else io.BytesIO(body), headers=headers
        ) as response,
    ):
        assert response.status == expected


@pytest.mark.parametrize(
    ("secrets", "token"),
    [
        pytest.param([], "t", id="no-secret"),
        pytest.param([""], "t", id="empty-secret"),
        pytest.param(["s", ""], "t", id="one-empty-secret"),
        pytest.param(["s"], "", id="no-token"),
    ],
)
def test_it_does_not_start_without_its_secrets(secrets: list[str], token: str) -> None:
    with pytest.raises(ValueError, match="needed"):
        WhatsAppWebhook(
            app_secrets=secrets,
            verify_token=token,
            directory=Phonebook(),
            intake=Ear(),
            care=Carer(),
            forms=form_tokens(Phonebook()),
            meter=Counts(),
        )


# ------------------------------------------------------------------ accounts and numbers


def paused(**over: object) -> bytes:
    told = {
        "event": "PAUSED",
        "message_template_name": "aviso",
        "message_template_language": "es_CL",
        "reason": "NONE",
    }
    field = change(told, "message_template_status_update")
    return envelope(entry(field) | {"time": 1_795_392_000} | over)


async def test_what_meta_says_of_an_account_is_kept_before_it_is_acknowledged(
    client: Client, carer: Carer
) -> None:
    assert await post(client, paused()) == 200

    (kept,) = carer.changes
    assert (kept.account, kept.field, kept.at) == (
        "102290129340398",
        "message_template_status_update",
        1_795_392_000,
    )


async def test_what_cannot_be_kept_is_repeated_by_meta(client: Client, carer: Carer) -> None:
    carer.down = True

    assert await post(client, paused()) == 503


async def test_the_account_of_nobody_is_counted_and_passed_over(
    client: Client, carer: Carer, counts: Counts
) -> None:
    assert await post(client, paused(id="404")) == 200

    assert carer.changes == []
    assert counts.counted["whatsapp_unknown_account", ""] == 1


async def test_a_message_beside_it_is_heard_all_the_same(
    client: Client, ear: Ear, carer: Carer
) -> None:
    field = change({"event": "DISABLED_UPDATE"}, "account_update")
    both = entry(field, change(value(messages=[message()])))

    assert await post(client, envelope(both)) == 200

    assert (len(carer.changes), len(ear.messages)) == (1, 1)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        pytest.param(131042, [("payment", 131042)], id="payment"),
        pytest.param(131031, [("account_locked", 131031)], id="locked"),
        pytest.param(131026, [], id="undeliverable"),
    ],
)
async def test_a_failure_that_somebody_has_to_mend_is_told(
    client: Client, carer: Carer, code: int, told: list[tuple[str, int]]
) -> None:
    failed = [status(id=f"wamid.{n}", status="failed", errors=[{"code": code}]) for n in range(2)]

    assert await post(client, webhook(statuses=failed)) == 200

    assert carer.troubles == [(CHANNEL, *each) for each in told]


# ------------------------------------------------------------------ handshake


async def shake(client: Client, **query: str) -> tuple[int, str, str]:
    params = {f"hub.{key}": text for key, text in query.items()}
    async with client.get(PATH, params=params) as response:
        return response.status, response.content_type, await response.text()


async def test_the_handshake_gives_the_bare_challenge_back(client: Client) -> None:
    answer = await shake(
        client, mode="subscribe", verify_token=VERIFY_TOKEN, challenge="1158201444"
    )

    assert answer == (200, "text/plain", "1158201444")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"mode": "subscribe", "challenge": "1"}, id="no-token"),
        pytest.param(
            {"mode": "subscribe", "verify_token": "guess", "challenge": "1"}, id="wrong-token"
        ),
        pytest.param(
            {"mode": "subscribe", "verify_token": "ñandú", "challenge": "1"}, id="not-ascii"
        ),
        pytest.param({"verify_token": VERIFY_TOKEN, "challenge": "1"}, id="no-mode"),
        pytest.param(
            {"mode": "unsubscribe", "verify_token": VERIFY_TOKEN, "challenge": "1"}, id="other-mode"
        ),
    ],
)
async def test_a_stranger_shakes_no_hands(client: Client, query: dict[str, str]) -> None:
    assert (await shake(client, **query))[0] == 403


@pytest.mark.parametrize(
    "challenge", [pytest.param("", id="none"), pytest.param("x" * 257, id="long")]
)
async def test_a_challenge_has_a_size(client: Client, challenge: str) -> None:
    answer = await shake(client, mode="subscribe", verify_token=VERIFY_TOKEN, challenge=challenge)

    assert answer[0] == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
async def test_only_get_and_post_are_served(client: Client, method: str) -> None:
    async with client.request(method, PATH) as response:
        assert response.status == 405


async def test_nonsense_all_day_is_counted_and_does_not_fill_the_log(
    client: Client, counts: Counts
) -> None:
    with capture_logs() as logs:
        for _ in range(20):
            assert await post(client, b"{}", "sha256=00") == 401

    assert counts.counted["whatsapp_webhook_refused", "signature"] == 20
    assert 1 <= len(logs) <= 2  # one a second
