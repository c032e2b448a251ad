"""A Clerk session counts if this instance signed it, for one of our pages, now; and also while Clerk is away."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handlers.clerk.sessions import (
    ASK_AGAIN_S,
    FRESH_S,
    STALE_S,
    ClerkSessions,
    KeysDownError,
    Session,
    SessionTokenError,
)
from handlers.outside import Outside
from tests.handlers.clerk.fake import PARTY, RSA, FakeClerk
from tests.handlers.errands import Counts, Watch

KEYS = "/.well-known/jwks.json"


class Desk:
    """A verifier, and tokens to show it."""

    def __init__(self, fake: FakeClerk, outside: Outside) -> None:
        self.fake = fake
        self.watch = Watch()
        self.sessions = ClerkSessions(
            outside, issuer=fake.url, parties=[PARTY], clock=self.watch, meter=Counts()
        )

    def token(self, **changed: Any) -> str:
        return self.fake.token("user_1", self.watch.s, **changed)

    async def refusal(self, token: str) -> str:
        with pytest.raises(SessionTokenError) as refused:
            await self.sessions.check(token)
        return str(refused.value)

    def passes(self, seconds: int) -> None:
        self.watch.ms += seconds * 1000


@pytest.fixture
def desk(fake: FakeClerk, outside: Outside) -> Desk:
    return Desk(fake, outside)


async def test_a_session_tells_who_is_logged_in(desk: Desk) -> None:
    assert await desk.sessions.check(desk.token()) == Session("user_1", "sess_1", desk.watch.s + 60)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        pytest.param({"iss": "https://clerk.example.net"}, "issuer", id="other-issuer"),
        pytest.param({"iss": None}, "malformed", id="no-issuer"),
        pytest.param({"azp": "https://evil.example"}, "party", id="other-party"),
        pytest.param({"azp": None}, "party", id="no-party"),
        pytest.param({"azp": f"{PARTY}/"}, "party", id="nearly-the-party"),
        pytest.param({"aud": "other"}, "audience", id="an-audience"),
        pytest.param({"exp": None}, "malformed", id="no-end"),
        pytest.param({"exp": "never"}, "malformed", id="odd-end"),
        pytest.param({"exp": True}, "malformed", id="true-end"),
        pytest.param({"sub": "mch_1"}, "subject", id="a-machine"),
        pytest.param({"sub": 7}, "malformed", id="a-number"),
        pytest.param({"sub": None}, "malformed", id="nobody"),
        pytest.param({"sid": None}, "malformed", id="no-session"),
        pytest.param({"sts": "pending"}, "session", id="pending"),
        pytest.param({"headers": {"typ": "at+jwt"}}, "type", id="an-oauth-token"),
        pytest.param({"kid": "ins_1", "signed_by": "ins_2"}, "signature", id="other-key"),
        pytest.param({"algorithm": "PS256"}, "algorithm", id="other-algorithm"),
    ],
)
async def test_what_is_no_session_of_ours_is_refused(
    desk: Desk, changed: dict[str, Any], why: str
) -> None:
    if changed.get("sub") == 7:
        token = _unsigned_edit(desk.token(), sub=7)
        assert await desk.refusal(token) in ("signature", "malformed")
        return
    assert await desk.refusal(desk.token(**changed)) == why


@pytest.mark.parametrize(
    ("after_s", "why"),
    [
        pytest.param(64, None, id="within-the-leeway"),
        pytest.param(65, "expired", id="past-the-leeway"),
        pytest.param(-5, None, id="our-clock-behind"),
        pytest.param(-6, "not_yet", id="our-clock-far-behind"),
    ],
)
async def test_five_seconds_of_leeway(desk: Desk, after_s: int, why: str | None) -> None:
    token = desk.token()
    desk.passes(after_s)

    if why is None:
        assert (await desk.sessions.check(token)).user == "user_1"
    else:
        assert await desk.refusal(token) == why


async def test_alg_none_is_refused(desk: Desk) -> None:
    header = _part({"alg": "none", "typ": "JWT", "kid": "ins_1"})

    assert await desk.refusal(f"{header}.{desk.token().split('.')[1]}.") == "algorithm"


async def test_hs256_with_the_public_key_is_refused(desk: Desk) -> None:
    pem = RSA["ins_1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'ins_1'})}.{desk.token().split('.')[1]}"
    mac = hmac.digest(pem, signed.encode(), hashlib.sha256)

    assert await desk.refusal(f"{signed}.{_b64(mac)}") == "algorithm"


async def test_a_key_that_the_token_brings_with_it_counts_for_nothing(desk: Desk) -> None:
    fake = desk.fake
    own = jwt.algorithms.RSAAlgorithm.to_jwk(RSA["ins_2"].public_key(), as_dict=True)
    token = desk.token(signed_by="ins_2", headers={"jwk": own, "jku": f"{fake.url}/mine"})

    assert await desk.refusal(token) == "signature"
    assert fake.asked_for("/mine") == 0


@pytest.mark.parametrize(
    "token", ["", "a.b.c", "....", "é", "x" * 9_000, "eyJhbGciOiJSUzI1NiJ9.e30."]
)
async def test_nonsense_is_refused(desk: Desk, token: str) -> None:
    assert await desk.refusal(token) == "malformed"


async def test_a_claim_that_was_edited_is_refused(desk: Desk) -> None:
    assert await desk.refusal(_unsigned_edit(desk.token(), sub="user_2")) == "signature"


# ------------------------------------------------------------------ keys


async def test_keys_are_asked_for_once_in_five_minutes(desk: Desk) -> None:
    for _ in range(3):
        await desk.sessions.check(desk.token())
    assert desk.fake.asked_for(KEYS) == 1

    desk.passes(FRESH_S)
    await desk.sessions.check(desk.token())
    assert desk.fake.asked_for(KEYS) == 2


async def test_a_new_key_is_found_at_once(desk: Desk) -> None:
    await desk.sessions.check(desk.token())
    desk.fake.kids = ["ins_2"]
    desk.passes(ASK_AGAIN_S)

    assert (await desk.sessions.check(desk.token(kid="ins_2"))).user == "user_1"
    assert await desk.refusal(desk.token(kid="ins_1")) == "key"


async def test_invented_key_ids_do_not_make_us_ask_again_and_again(desk: Desk) -> None:
    await desk.sessions.check(desk.token())
    for n in range(20):
        token = desk.token(signed_by="ins_1", kid=f"invented_{n}")
        assert await desk.refusal(token) == "key"

    assert desk.fake.asked_for(KEYS) == 1


async def test_with_the_keys_down_known_sessions_go_on_for_an_hour(desk: Desk) -> None:
    await desk.sessions.check(desk.token())
    desk.fake.keys_down = True

    desk.passes(STALE_S - 1)
    assert (await desk.sessions.check(desk.token())).user == "user_1"
    desk.passes(ASK_AGAIN_S)
    with pytest.raises(KeysDownError):
        await desk.sessions.check(desk.token())

    desk.fake.keys_down = False
    desk.passes(ASK_AGAIN_S)
    assert (await desk.sessions.check(desk.token())).user == "user_1"


async def test_with_the_keys_down_from_the_start_nothing_is_said_of_a_token(desk: Desk) -> None:
    desk.fake.keys_down = True

    with pytest.raises(KeysDownError):
        await desk.sessions.check(desk.token())


async def test_an_issuer_inside_our_network_is_not_asked(desk: Desk) -> None:
    async with Outside.open() as outside:
        desk.sessions = ClerkSessions(
            outside, issuer=desk.fake.url, parties=[PARTY], clock=desk.watch, meter=Counts()
        )
        with pytest.raises(KeysDownError):
            await desk.sessions.check(desk.token())
    assert desk.fake.asked == []


def test_without_a_party_nothing_starts(outside: Outside) -> None:
    with pytest.raises(ValueError, match="party"):
        ClerkSessions(
            outside, issuer="https://x.example", parties=[], clock=Watch(), meter=Counts()
        )


def _unsigned_edit(token: str, **claims: Any) -> str:
    header, payload, signature = token.split(".")
    told = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) | claims
    return f"{header}.{_part(told)}.{signature}"


def _part(told: dict[str, Any]) -> str:
    return _b64(json.dumps(told).encode())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
