"""A code opens one session for whoever reads it on the phone, and nothing for anybody else."""

import asyncio
import base64

import asyncpg
import msgspec
import pytest
import redis
from redis.crc import key_slot

from bot.embedded.postgres import PostgresUrls
from bot.identity.otp import BLOCK_SENT_MIN, LIFE_S, LONG_MAX, TRIES_MAX
from bot.store.secrets import SecretBox
from flows.catalogue import LOCALES
from flows.dialog.templates import read_templates
from flows.values.phone import WaId
from tests.bot.identity.conftest import NEW_KEY, OLD_KEY, House, house_of, number, wrong
from tests.bot.people.conftest import BAKERY, BUTCHERY
from tests.dump import dumped, numbers_in

ANA, BEA = number(1), number(2)
DAY_S = 86_400


async def test_the_right_code_opens_a_session(house: House) -> None:
    asked = await house.ask(ANA)
    [code] = await house.codes(ANA)

    reply = await house.give(asked.body["challenge_id"], code)

    assert (asked.status, asked.body["expires_in"], asked.body["resend_in"]) == (202, 300, 60)
    assert reply.status == 200
    assert set(reply.body) == {
        "access_token", "refresh_token", "token_type", "expires_in", "ugid",
    }  # fmt: skip
    assert (reply.body["token_type"], reply.body["expires_in"]) == ("bearer", 600)
    assert reply.headers["Cache-Control"] == "no-store"


async def test_the_same_phone_is_the_same_person(house: House) -> None:
    first = await house.login(ANA)
    house.passes(60)
    second = await house.login(ANA)

    assert first["ugid"] == second["ugid"]
    assert first["ugid"] != (await house.login(BEA))["ugid"]


async def test_five_wrong_codes_and_then_the_right_one_is_refused(house: House) -> None:
    challenge, code = await house.challenge(ANA)

    for n in range(TRIES_MAX):
        assert (await house.give(challenge, wrong(code, n + 1))).status == 401

    assert (await house.give(challenge, code)).status == 401


async def test_of_four_wrong_codes_nobody_is_shut_out(house: House) -> None:
    challenge, code = await house.challenge(ANA)
    for n in range(TRIES_MAX - 1):
        await house.give(challenge, wrong(code, n + 1))

    assert (await house.give(challenge, code)).status == 200


async def test_of_fifty_parallel_guesses_at_most_five_are_compared(house: House) -> None:
    challenge, code = await house.challenge(ANA)
    guesses = [wrong(code, n + 1) for n in range(50)]

    replies = await asyncio.gather(*(house.give(challenge, guess) for guess in guesses))

    assert {reply.status for reply in replies} == {401}
    assert house.counted("code_tried", "wrong") == TRIES_MAX
    assert house.counted("code_tried", "unknown") == 50 - TRIES_MAX


async def test_two_parallel_right_answers_give_one_session(house: House) -> None:
    challenge, code = await house.challenge(ANA)

    replies = await asyncio.gather(*(house.give(challenge, code) for _ in range(20)))

    assert sorted(reply.status for reply in replies) == [200] + [401] * 19


async def test_two_parallel_first_logins_of_a_phone_are_one_person(house: House) -> None:
    """Two firms, so two codes may be under way at once."""
    at_bakery = await house.challenge(ANA, tenant=BAKERY.id)
    house.passes(60)
    at_butchery = await house.challenge(ANA, tenant=BUTCHERY.id)

    replies = await asyncio.gather(house.give(*at_bakery), house.give(*at_butchery))

    assert [reply.status for reply in replies] == [200, 200]
    assert len({reply.body["ugid"] for reply in replies}) == 1


@pytest.mark.parametrize("other", [{"tenant": BUTCHERY.id}, {}], ids=["tenant", "none"])
async def test_a_code_of_another_tenant_is_refused(house: House, other: dict[str, str]) -> None:
    _, code = await house.challenge(ANA, tenant=BAKERY.id)
    house.passes(60)
    challenge, _ = await house.challenge(ANA, **other)

    assert (await house.give(challenge, code)).status == 401


async def test_a_code_of_another_phone_is_refused(house: House) -> None:
    _, code = await house.challenge(ANA)
    challenge, mine = await house.challenge(BEA)

    assert code != mine
    assert (await house.give(challenge, code)).status == 401


async def test_a_code_of_another_purpose_is_refused(house: House) -> None:
    token = (await house.login(ANA))["access_token"]
    to_link, code = await house.challenge(BEA, purpose="link", token=token)

    # Whoever is not the one that asked gets no session by it.
    assert (await house.give(to_link, code)).status == 401


async def test_a_challenge_that_was_edited_is_refused(house: House) -> None:
    challenge, code = await house.challenge(ANA)
    data = bytearray(base64.urlsafe_b64decode(challenge + "=="))

    for place in (0, 20, 30):
        data[place] ^= 1
        edited = base64.urlsafe_b64encode(data).decode().rstrip("=")
        assert (await house.give(edited, code)).status == 401
        data[place] ^= 1


async def test_a_code_is_over_after_its_time(house: House) -> None:
    challenge, code = await house.challenge(ANA)

    house.passes(LIFE_S + 1)

    assert (await house.give(challenge, code)).status == 401


async def test_a_code_is_good_to_its_end(house: House) -> None:
    challenge, code = await house.challenge(ANA)

    house.passes(LIFE_S - 5)

    assert (await house.give(challenge, code)).status == 200


async def test_a_clock_that_jumps_back_prolongs_no_code_and_shuts_nobody_out(
    house: House, clean_valkey: str
) -> None:
    house.passes(DAY_S)
    await house.challenge(ANA)

    house.passes(-DAY_S)
    # The limit of the address takes itself for empty then, and fills up again.
    await house.ask(ANA)
    house.passes(2)
    early = await house.ask(ANA)

    # By our clock it is good for a day more; the store forgets it all the same.
    with redis.Redis.from_url(clean_valkey) as store:
        [left] = [store.pttl(key) for key in store.keys("smarterbot:otp:code:*")]
    assert 0 < left <= LIFE_S * 1000
    assert (early.status, "This number" in early.body["detail"]) == (429, True)
    assert 0 < int(early.headers["Retry-After"]) <= 60


async def test_a_new_code_kills_the_old_one(house: House) -> None:
    old = await house.challenge(ANA)
    house.passes(60)
    new = await house.challenge(ANA)

    assert (await house.give(*old)).status == 401
    assert (await house.give(*new)).status == 200


async def test_wrong_over_used_and_unknown_are_one_answer(house: House) -> None:
    challenge, code = await house.challenge(ANA)
    seen = [await house.give(challenge, wrong(code))]
    await house.give(challenge, code)
    seen.append(await house.give(challenge, code))
    late, late_code = await house.challenge(BEA)
    house.passes(LIFE_S + 1)
    seen.append(await house.give(late, late_code))
    unknown = base64.urlsafe_b64encode(bytes(40)).decode().rstrip("=")
    seen += [await house.give(unknown, "123456"), await house.give("x", "123456")]

    answers = {
        (reply.status, msgspec.json.encode(reply.body), reply.headers["WWW-Authenticate"])
        for reply in seen
    }
    assert len(answers) == 1


async def test_a_phone_that_nobody_knows_gets_the_same_answer(house: House) -> None:
    await house.login(ANA)
    house.passes(DAY_S)

    known, unknown = await house.ask(ANA), await house.ask(BEA)

    assert known.status == unknown.status == 202
    assert set(known.body) == set(unknown.body)
    assert len(known.body["challenge_id"]) == len(unknown.body["challenge_id"])
    assert {n for n in known.headers if n != "Date"} == {n for n in unknown.headers if n != "Date"}
    assert (known.body["expires_in"], known.body["resend_in"]) == (
        unknown.body["expires_in"],
        unknown.body["resend_in"],
    )


async def test_asking_takes_as_long_for_a_phone_that_nobody_knows(
    house: House, clean_postgres: PostgresUrls
) -> None:
    """Who has a phone is not even looked up, so nothing can take longer: the tables of people are locked meanwhile."""
    await house.login(ANA)
    house.passes(DAY_S)
    owner = await asyncpg.connect(clean_postgres.owner)
    async with owner.transaction():
        await owner.execute(
            "LOCK smarterbot.people, smarterbot.identities, smarterbot.user_auth, smarterbot.sessions, "
            "smarterbot.memberships IN ACCESS EXCLUSIVE MODE"
        )
        async with asyncio.timeout(2):
            assert (await house.ask(ANA)).status == (await house.ask(BEA)).status == 202
    await owner.close()


async def test_a_phone_waits_longer_for_each_code(house: House) -> None:
    waits = []
    for _ in range(3):
        asked = await house.ask(ANA)
        assert asked.status == 202
        waits.append(asked.body["resend_in"])
        house.passes(asked.body["resend_in"] - 2)
        too_soon = await house.ask(ANA)
        assert (too_soon.status, too_soon.problem) == (429, "too_many")
        assert 0 < int(too_soon.headers["Retry-After"]) <= 2
        house.passes(2)

    assert waits[:2] == [60, 120]
    # Three in a quarter of an hour: the fourth waits until the first is that old.
    assert waits[2] == 15 * 60 - 60 - 120


async def test_a_phone_gets_six_codes_a_day(house: House) -> None:
    for _ in range(LONG_MAX):
        assert (await house.ask(ANA)).status == 202
        house.passes(3_600)

    refused = await house.ask(ANA)
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) == pytest.approx(DAY_S - LONG_MAX * 3_600, abs=2)

    house.passes(DAY_S - LONG_MAX * 3_600)
    assert (await house.ask(ANA)).status == 202


async def test_an_address_gets_ten_codes_an_hour(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    async with house_of(
        clean_valkey, clean_postgres, OTP_PER_IP_HOUR="10", TRUSTED_PROXIES="1"
    ) as house:

        async def asks(n: int, address: str) -> int:
            return (await house.ask(number(n), headers={"X-Forwarded-For": address})).status

        # One subscriber has a whole /64 of IPv6, and may write whatever they like before our proxy's own word.
        mine = [
            f"2001:db8:1:2::{n}" if n % 2 else f"9.9.9.{n}, 2001:db8:1:2:a::{n}" for n in range(12)
        ]
        assert [await asks(n, address) for n, address in enumerate(mine)] == [202] * 10 + [429] * 2
        assert await asks(50, "2001:db8:1:3::1") == 202
        assert await asks(51, "203.0.113.7") == 202
        refused = await house.ask(number(52), headers={"X-Forwarded-For": mine[1]})
        assert 0 < int(refused.headers["Retry-After"]) <= 360


async def test_a_stranger_cannot_choose_an_address_without_a_proxy(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    async with house_of(clean_valkey, clean_postgres, OTP_PER_IP_HOUR="2") as house:
        statuses = [
            (await house.ask(number(n), headers={"X-Forwarded-For": f"203.0.113.{n}"})).status
            for n in range(3)
        ]
    assert statuses == [202, 202, 429]


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        pytest.param({"OTP_PER_DAY": "3"}, "all", id="global"),
        pytest.param({"OTP_PER_TENANT_DAY": "3"}, "tenant", id="per-tenant"),
        pytest.param({"OTP_USD_PER_DAY": "0.06", "OTP_USD_PER_CODE": "0.02"}, "money", id="spend"),
    ],
)
async def test_codes_have_caps(
    clean_valkey: str,
    clean_postgres: PostgresUrls,
    firms: None,
    variables: dict[str, str],
    why: str,
) -> None:
    async with house_of(clean_valkey, clean_postgres, **variables) as house:
        asked = [await house.ask(number(n), tenant=BAKERY.id) for n in range(4)]

        assert [reply.status for reply in asked] == [202, 202, 202, 429]
        assert 0 < int(asked[-1].headers["Retry-After"]) <= DAY_S
        assert house.counted("code_capped", why) == 1
        elsewhere = await house.ask(number(9), tenant=BUTCHERY.id)
        assert elsewhere.status == (202 if why == "tenant" else 429)
        house.passes(DAY_S)
        assert (await house.ask(number(8), tenant=BAKERY.id)).status == 202


async def test_a_block_of_numbers_whose_codes_nobody_types_in_gets_no_more(house: House) -> None:
    block = [str(56_962_220_000 + n) for n in range(BLOCK_SENT_MIN + 1)]
    for phone in block[:-1]:
        assert (await house.ask(phone)).status == 202

    refused = await house.ask(block[-1])

    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 3_600
    assert house.counted("code_capped", "block") == 1
    assert (await house.ask(ANA)).status == 202
    house.passes(2 * 3_600)
    assert (await house.ask(block[0])).status == 202


async def test_a_block_of_numbers_whose_people_log_in_goes_on(house: House) -> None:
    block = [str(56_962_220_000 + n) for n in range(BLOCK_SENT_MIN + 4)]
    for n, phone in enumerate(block):
        if n % 4 == 0:
            await house.login(phone)
        else:
            assert (await house.ask(phone)).status == 202


@pytest.mark.parametrize("phone", ["+34612345678", "+51987654321", "+12025550123", "+880171234567"])
async def test_a_foreign_number_is_refused(house: House, phone: str) -> None:
    asked = await house.call("POST", "/auth/otp", {"phone": phone})

    assert (asked.status, asked.problem) == (422, "invalid")
    assert asked.body["errors"][0]["pointer"] == "/phone"
    assert await house.codes(phone.removeprefix("+")) == []


async def test_other_countries_may_be_allowed(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    async with house_of(clean_valkey, clean_postgres, OTP_COUNTRIES="CL,PE,US") as house:
        for phone, status in (("+51987654321", 202), ("+12025550123", 202), ("+15145550123", 422)):
            assert (await house.call("POST", "/auth/otp", {"phone": phone})).status == status


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        pytest.param({}, 422, "/phone", id="nothing"),
        pytest.param({"phone": 56961234567}, 422, "/phone", id="number"),
        pytest.param({"phone": "hola"}, 422, "/phone", id="words"),
        pytest.param({"phone": "+56961234567", "purpose": "admin"}, 422, "/purpose", id="purpose"),
        pytest.param({"phone": "+56961234567", "tenant": "x"}, 422, "/tenant", id="tenant"),
        pytest.param(
            {"phone": "+56961234567", "tenant": "00000000-0000-4000-8000-000000000000"},
            422, "/tenant", id="no-such-tenant",
        ),
        pytest.param({"phone": "+56961234567", "more": 1}, 422, "/more", id="unknown-field"),
        pytest.param({"phone": "+56961234567", "locale": "\0"}, 422, "/locale", id="locale"),
        pytest.param({"phone": "9" * 41}, 422, "/phone", id="long"),
        pytest.param([], 422, "", id="list"),
    ],
)  # fmt: skip
async def test_bad_input_names_the_field(
    house: House, body: object, status: int, pointer: str
) -> None:
    asked = await house.call("POST", "/auth/otp", body)

    assert asked.status == status
    assert asked.headers["Content-Type"].startswith("application/problem+json")
    assert asked.body["errors"][0].get("pointer", "") == pointer


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="no-json"),
        pytest.param(b'{"phone":"\xff"}', "application/json", 400, id="no-utf-8"),
        pytest.param(b"phone=1", "application/x-www-form-urlencoded", 415, id="form"),
        pytest.param(b" " * 5_000, "application/json", 413, id="large"),
    ],
)
async def test_what_is_no_request_is_refused(
    house: House, data: bytes, kind: str, status: int
) -> None:
    async with house.http.post("/auth/otp", data=data, headers={"Content-Type": kind}) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
    async with house.http.get("/auth/otp") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_pages_of_our_applications_may_ask_and_no_others(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    ours = "https://app.example"
    async with house_of(clean_valkey, clean_postgres, AUTH_ORIGINS=ours) as house:
        for origin, allowed in ((ours, ours), ("https://evil.example", None)):
            headers = {"Origin": origin}
            before = await house.call("OPTIONS", "/auth/otp/verify", headers=headers)
            asked = await house.ask(ANA, headers=headers)

            assert before.status == 204
            for reply in (before, asked):
                assert reply.headers.get("Access-Control-Allow-Origin") == allowed
                assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_headers_of_any_bytes_are_borne(house: House) -> None:
    challenge, code = await house.challenge(ANA)
    body = msgspec.json.encode({"challenge_id": challenge, "code": code})
    told = b"User-Agent: \xff\xfe Mozilla\r\nAuthorization: Bearer \xff.\xff.\xff\r\n"

    assert await _raw(house, b"GET /auth/me", told, b"") == 401
    assert await _raw(house, b"POST /auth/otp/verify", told, body) == 200


async def _raw(house: House, line: bytes, headers: bytes, body: bytes) -> int:
    """Status of a request that no client would send."""
    base = house.http._base_url
    assert base is not None
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(
        b"%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n%b\r\n%b" % (line, len(body), headers, body)
    )
    status = int((await reader.readline()).split()[1])
    writer.close()
    await writer.wait_closed()
    return status


async def test_neither_code_nor_phone_is_in_the_store(house: House, clean_valkey: str) -> None:
    asked = await house.ask(ANA)
    dump = dumped(clean_valkey)
    [code] = await house.codes(ANA)
    await house.give(asked.body["challenge_id"], wrong(code))
    dump += dumped(clean_valkey)
    await house.give(asked.body["challenge_id"], code)
    dump += dumped(clean_valkey)

    assert "otp:code" in dump
    assert not {code, ANA, ANA[2:]} & numbers_in(dump)


async def test_neither_code_nor_phone_is_told_by_logs_metrics_and_errors(
    house: House, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    challenge, code = await house.challenge(ANA)
    told = [await house.give(challenge, wrong(code)), await house.ask(ANA)]
    tokens = (await house.give(challenge, code)).body
    told += [
        await house.refresh("A" * 155),
        await house.call("GET", "/auth/me", token=tokens["access_token"][:-4]),
    ]
    seen = capfd.readouterr()
    everything = "".join(
        (seen.out, seen.err, caplog.text, house.metrics.exposition().decode(), repr(told))
    )

    assert not {code, ANA, ANA[2:]} & numbers_in(everything)
    assert tokens["access_token"] not in everything
    assert tokens["refresh_token"] not in everything


async def test_a_code_outlives_a_change_of_keys(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    async with house_of(clean_valkey, clean_postgres) as house:
        old = await house.challenge(ANA)
    async with house_of(
        clean_valkey, clean_postgres, SMARTERBOT_KEYS=f"{NEW_KEY},{OLD_KEY}"
    ) as house:
        assert (await house.give(*old)).status == 200
        new = await house.challenge(BEA)
    async with house_of(
        clean_valkey, clean_postgres, SMARTERBOT_KEYS=f"{OLD_KEY},{NEW_KEY}"
    ) as house:
        assert (await house.give(*new)).status == 200


async def test_a_new_phone_is_linked_to_who_is_logged_in(house: House) -> None:
    first = await house.login(ANA)
    challenge, code = await house.challenge(BEA, purpose="link", token=first["access_token"])

    linked = await house.give(challenge, code, token=first["access_token"])

    assert (linked.status, linked.body["ugid"]) == (200, first["ugid"])
    # Elsewhere they must prove who they are again.
    assert (await house.refresh(first["refresh_token"])).status == 401
    house.passes(60)
    assert (await house.login(BEA))["ugid"] == first["ugid"]


async def test_a_phone_that_was_somebody_else_s_ends_their_sessions(house: House) -> None:
    bea = await house.login(BEA)
    ana = await house.login(ANA)
    house.passes(60)
    challenge, code = await house.challenge(BEA, purpose="link", token=ana["access_token"])

    assert (await house.give(challenge, code, token=ana["access_token"])).status == 200

    assert (await house.refresh(bea["refresh_token"])).status == 401
    house.passes(900)
    assert (await house.login(BEA))["ugid"] == ana["ugid"]


async def test_a_phone_is_linked_to_nobody_but_who_asked(house: House) -> None:
    ana, carla = await house.login(ANA), await house.login(number(3))
    challenge, code = await house.challenge(BEA, purpose="link", token=ana["access_token"])

    assert (await house.give(challenge, code, token=carla["access_token"])).status == 401


async def test_a_phone_is_linked_while_the_session_lasts(house: House) -> None:
    token = (await house.login(ANA))["access_token"]
    challenge, code = await house.challenge(BEA, purpose="link", token=token)
    await house.call("POST", "/auth/logout", token=token)

    assert (await house.give(challenge, code, token=token)).status == 401


async def test_linking_needs_a_session(house: House) -> None:
    assert (await house.ask(BEA, purpose="link")).status == 401


async def test_without_a_number_of_the_platform_no_code_is_promised(
    clean_valkey: str, clean_postgres: PostgresUrls
) -> None:
    async with house_of(clean_valkey, clean_postgres) as house:
        asked = await house.ask(ANA)
    assert (asked.status, asked.problem) == (503, "unavailable")


async def test_while_the_database_is_down_nobody_is_let_in(house: House) -> None:
    challenge, code = await house.challenge(ANA)
    await house.database._pool.close()

    reply = await house.give(challenge, code)

    assert (reply.status, reply.problem) == (503, "unavailable")
    # Codes are still sent: PostgreSQL has no part in that.
    assert (await house.ask(BEA)).status == 202


async def test_what_one_script_touches_is_on_one_node_of_a_cluster(
    house: House, clean_valkey: str
) -> None:
    await house.ask(ANA)
    with redis.Redis.from_url(clean_valkey) as store:
        by_script = [store.keys("smarterbot:otp:[cls]*"), store.keys("smarterbot:otp:paid*")]

    assert [len(keys) for keys in by_script] == [3, 2]
    for keys in by_script:
        assert len({key_slot(key) for key in keys}) == 1


async def test_a_code_lies_in_its_lane_sealed_for_that_lane(house: House) -> None:
    letters = house.identity.letters
    sealed = letters.seal("code-a", WaId(ANA), "123456")

    assert letters.open("code-a", sealed) == (ANA, "123456")
    assert letters.open("code-b", sealed) is None
    other = SecretBox(house.settings.keys).seal(
        "{}", tenant="installation", field="otp.letter.code-a"
    )
    assert letters.open("code-a", other) is None


def test_the_template_says_how_long_a_code_lives() -> None:
    templates = read_templates(LOCALES)

    for locale in templates.locales:
        template = templates.get("codigo_ingreso", locale)
        assert template is None or template.expires_minutes * 60 == LIFE_S
    assert templates.get("codigo_ingreso", "es_CL") is not None
