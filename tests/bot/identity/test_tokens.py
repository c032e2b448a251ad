"""Only a token that we made, for us, for now and for this person is believed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bot.embedded.postgres import PostgresUrls
from bot.identity import people
from bot.identity.errors import TokenError
from bot.identity.keys import ACCESS_S, AHEAD, ROTATE, SigningKey, reseal_keys, rotate
from bot.identity.moments import moment
from bot.store.secrets import SecretBox
from flows.values.ids import TenantId, Ugid
from tests.bot.identity.conftest import ISSUER, NEW_KEY, OLD_KEY, House, house_of, number
from tests.bot.people.conftest import BAKERY, BUTCHERY

ANA, BEA = number(1), number(2)

Claims = dict[str, Any]
Forge = Callable[[Claims, SigningKey], str]


def encode(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def claims_of(token: str) -> Claims:
    body = token.split(".")[1]
    found: Claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def signed(claims: Claims, key: SigningKey, **header: Any) -> str:
    return jwt.encode(claims, key.private, algorithm="ES256", headers={"kid": key.kid, **header})


def by_hand(header: Claims, claims: Claims, secret: bytes) -> str:
    text = f"{encode(header)}.{encode(claims)}"
    mac = hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _none(claims: Claims, key: SigningKey) -> str:
    return f"{encode({'alg': 'none', 'typ': 'JWT', 'kid': key.kid})}.{encode(claims)}."


def _none_signed(claims: Claims, key: SigningKey) -> str:
    return _none(claims, key) + signed(claims, key).split(".")[2]


def _hs256_with_public_key(claims: Claims, key: SigningKey) -> str:
    pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return by_hand({"alg": "HS256", "typ": "JWT", "kid": key.kid}, claims, pem)


def _rs256(claims: Claims, key: SigningKey) -> str:
    other = rsa.generate_private_key(65_537, 2_048)
    return jwt.encode(claims, other, algorithm="RS256", headers={"kid": key.kid})


def _foreign_key(claims: Claims, key: SigningKey) -> str:
    other = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims, other, algorithm="ES256", headers={"kid": key.kid})


def _own_key_in_header(claims: Claims, key: SigningKey) -> str:
    other = ec.generate_private_key(ec.SECP256R1())
    jwk = SigningKey("mine", other, key.created_at, key.signs_from, None).jwk()
    return jwt.encode(claims, other, algorithm="ES256", headers={"kid": "mine", "jwk": jwk})


def _without(name: str) -> Forge:
    return lambda claims, key: signed({k: v for k, v in claims.items() if k != name}, key)


def _with(**changes: object) -> Forge:
    return lambda claims, key: signed({**claims, **changes}, key)


def _later(claims: Claims, key: SigningKey) -> str:
    return signed({**claims, "exp": claims["exp"] + 1}, key)


def _not_yet(claims: Claims, key: SigningKey) -> str:
    return signed({**claims, "iat": claims["iat"] + 300, "exp": claims["exp"] + 300}, key)


def _tenant_edited(claims: Claims, key: SigningKey) -> str:
    head, _, signature = signed(claims, key).split(".")
    place = {"tenant_id": BUTCHERY.id, "tenant_role": "owner"}
    return f"{head}.{encode({**claims, 'app_metadata': place})}.{signature}"


FORGERIES: Final[dict[str, Forge]] = {
    "alg-none": _none,
    "alg-none-with-a-signature": _none_signed,
    "hs256-with-our-public-key": _hs256_with_public_key,
    "rs256": _rs256,
    "another-key-of-the-same-name": _foreign_key,
    "a-key-of-its-own-in-the-header": _own_key_in_header,
    "unknown-kid": lambda claims, key: signed(claims, key, kid="nobody"),
    "no-kid": lambda claims, key: jwt.encode(claims, key.private, algorithm="ES256"),
    "empty-kid": lambda claims, key: signed(claims, key, kid=""),
    "another-type": lambda claims, key: signed(claims, key, typ="at+jwt"),
    "wrong-issuer": _with(iss="https://evil.example"),
    "issuer-with-a-slash": _with(iss=f"{ISSUER}/"),
    "wrong-audience": _with(aud="service_role"),
    "no-issuer": _without("iss"),
    "no-audience": _without("aud"),
    "no-exp": _without("exp"),
    "no-iat": _without("iat"),
    "no-session": _without("sid"),
    "no-subject": _without("sub"),
    "exp-true": _with(exp=True),
    "exp-far": _later,
    "not-yet": _not_yet,
    "subject-that-is-no-id": _with(sub="user_123"),
    "no-place": _without("app_metadata"),
    "tenant-edited": _tenant_edited,
    "empty": lambda _claims, _key: "",
    "noise": lambda _claims, _key: "a.b.c",
    "huge": lambda claims, key: signed({**claims, "more": "x" * 5_000}, key),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_token_that_is_not_ours_is_refused(house: House, forge: Forge) -> None:
    good = (await house.login(ANA, tenant=BAKERY.id))["access_token"]
    key = house.identity.keys.current()
    assert (await house.call("GET", "/auth/me", token=good)).status == 200

    refused = await house.call("GET", "/auth/me", token=forge(claims_of(good), key))

    assert (refused.status, refused.problem) == (401, "token")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_every_changed_sign_of_a_token_is_noticed(house: House) -> None:
    good = (await house.login(ANA))["access_token"]
    read = house.identity.tokens.read
    read(good)

    # The last sign of a part has bits that mean nothing.
    ends = {len(part) for part in (good, good.rpartition(".")[0], good.partition(".")[0])}
    for place in range(0, len(good), 7):
        if good[place] == "." or place + 1 in ends:
            continue
        changed = good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
        with pytest.raises(TokenError):
            read(changed)


async def test_claims_are_as_supabase_wants_them(house: House) -> None:
    login = await house.login(ANA, tenant=BAKERY.id)

    claims = claims_of(login["access_token"])

    assert claims["iss"] == ISSUER
    assert claims["sub"] == login["ugid"]
    assert (claims["aud"], claims["role"], claims["aal"]) == (
        "authenticated",
        "authenticated",
        "aal1",
    )
    assert claims["exp"] - claims["iat"] == ACCESS_S <= 15 * 60
    assert claims["session_id"] == claims["sid"]
    assert claims["amr"][0]["method"] == "otp"
    assert claims["app_metadata"] == {
        "provider": "smarterbot", "tenant_id": BAKERY.id, "tenant_role": "customer",
    }  # fmt: skip
    assert ANA not in json.dumps(claims)


async def test_a_policy_of_supabase_sees_the_firm_in_the_token_alone(
    house: House, clean_postgres: PostgresUrls
) -> None:
    """`auth.jwt()` is `request.jwt.claims`, as PostgREST sets it."""
    claims = claims_of((await house.login(ANA, tenant=BAKERY.id))["access_token"])
    owner = await asyncpg.connect(clean_postgres.owner)
    app = await asyncpg.connect(clean_postgres.app)
    role = await app.fetchval("SELECT current_user")
    try:
        await owner.execute(
            f"""
            CREATE SCHEMA probe;
            CREATE TABLE probe.orders (tenant_id uuid, ugid uuid);
            ALTER TABLE probe.orders ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON probe.orders USING (
              tenant_id = (current_setting('request.jwt.claims')::jsonb -> 'app_metadata' ->> 'tenant_id')::uuid
              AND (ugid = (current_setting('request.jwt.claims')::jsonb ->> 'sub')::uuid OR
                current_setting('request.jwt.claims')::jsonb -> 'app_metadata' ->> 'tenant_role' <> 'customer')
            );
            GRANT USAGE ON SCHEMA probe TO "{role}"; GRANT SELECT ON probe.orders TO "{role}";
            INSERT INTO probe.orders VALUES ('{BAKERY.id}', '{claims["sub"]}'),
              ('{BAKERY.id}', gen_random_uuid()), ('{BUTCHERY.id}', '{claims["sub"]}');
            """
        )
        async with app.transaction():
            await app.execute(
                "SELECT set_config('request.jwt.claims', $1, true)", json.dumps(claims)
            )
            rows = await app.fetch("SELECT tenant_id, ugid FROM probe.orders")
        assert [(str(row[0]), str(row[1])) for row in rows] == [(BAKERY.id, claims["sub"])]
    finally:
        await app.close()
        await owner.execute("DROP SCHEMA probe CASCADE")
        await owner.close()


async def test_a_token_is_over_after_its_time(house: House) -> None:
    token = (await house.login(ANA))["access_token"]

    house.passes(ACCESS_S - 5)
    assert (await house.call("GET", "/auth/me", token=token)).status == 200
    house.passes(5 + 31)
    assert (await house.call("GET", "/auth/me", token=token)).status == 401


async def test_others_check_our_tokens_with_what_is_published(house: House) -> None:
    token = (await house.login(ANA))["access_token"]

    found = await house.call("GET", "/.well-known/openid-configuration")
    published = await house.call("GET", "/.well-known/jwks.json")

    assert found.body["issuer"] == ISSUER
    assert found.body["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    keys = jwt.PyJWKSet.from_dict(published.body)
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(
        token,
        keys[header["kid"]].key,
        algorithms=found.body["id_token_signing_alg_values_supported"],
        audience="authenticated",
        issuer=found.body["issuer"],
        options={"require": ["exp", "sub"]},
    )
    assert claims["role"] == "authenticated"
    assert all("d" not in key for key in published.body["keys"])
    assert published.headers["Cache-Control"] == "public, max-age=300"
    assert published.headers["Access-Control-Allow-Origin"] == "*"


async def test_keys_are_replaced_and_nobody_is_logged_out(house: House) -> None:
    box, before = SecretBox(house.settings.keys), await house.login(ANA)
    [old] = await kids(house)

    new = await rotate(house.database, box, now=moment(house.clock))
    await house.identity.keys.load()

    # Both are shown, and the old one signs until everybody has the new one.
    assert await kids(house) == [new, old]
    assert jwt.get_unverified_header((await house.login(BEA))["access_token"])["kid"] == old
    house.passes(AHEAD.total_seconds() + 1)
    after = (await house.refresh(before["refresh_token"])).body["access_token"]
    assert jwt.get_unverified_header(after)["kid"] == new
    assert await kids(house) == [new, old]
    house.passes(ACCESS_S + 60)
    assert await kids(house) == [new]


async def test_a_key_that_somebody_has_ends_at_once(house: House) -> None:
    login = await house.login(ANA)
    box = SecretBox(house.settings.keys)

    new = await rotate(house.database, box, now=moment(house.clock), at_once=True)
    await house.identity.keys.load()

    assert await kids(house) == [new]
    assert (await house.call("GET", "/auth/me", token=login["access_token"])).status == 401
    assert (await house.refresh(login["refresh_token"])).status == 200


async def test_keys_are_replaced_by_themselves_after_a_month(house: House) -> None:
    [old] = await kids(house)

    house.passes(ROTATE.total_seconds() + 1)
    await house.identity.keys.load()
    await house.identity.keys.load()

    assert len(await kids(house)) == 2
    assert (await kids(house))[1] == old


async def test_two_processes_that_start_together_make_one_key(
    house: House, clean_valkey: str, clean_postgres: PostgresUrls
) -> None:
    async with house_of(clean_valkey, clean_postgres) as other:
        assert await kids(other) == await kids(house)
        token = (await house.login(ANA))["access_token"]
        assert (await other.call("GET", "/auth/me", token=token)).status == 200


async def test_tokens_are_believed_and_the_set_is_shown_while_the_database_is_down(
    house: House,
) -> None:
    token = (await house.login(ANA))["access_token"]

    await house.database._pool.close()

    assert house.identity.tokens.read(token).ugid
    assert (await house.call("GET", "/.well-known/jwks.json")).status == 200
    asked = await house.call("GET", "/auth/me", token=token)
    assert (asked.status, asked.problem) == (503, "unavailable")
    assert int(asked.headers["Retry-After"]) > 0


async def test_private_keys_are_sealed_and_sealed_anew(
    house: House, clean_postgres: PostgresUrls, clean_valkey: str
) -> None:
    owner = await asyncpg.connect(clean_postgres.owner)
    before = await owner.fetchval("SELECT private FROM smarterbot.signing_keys")
    await house.login(ANA)

    changed = house_of(clean_valkey, clean_postgres, SMARTERBOT_KEYS=f"{NEW_KEY},{OLD_KEY}")
    async with changed as other:
        box = SecretBox(other.settings.keys)
        assert await reseal_keys(other.database, box) == 1
        assert await reseal_keys(other.database, box) == 0
    after = await owner.fetchval("SELECT private FROM smarterbot.signing_keys")
    await owner.close()

    assert before.startswith("t1.")
    assert after.startswith("t2.")
    assert "PRIVATE KEY" not in before


async def test_whoever_is_shown_out_of_a_firm_is_out_with_their_token(house: House) -> None:
    login = await house.login(ANA, tenant=BAKERY.id)
    async with house.database.system() as connection:
        await people.set_role(
            connection, Ugid(login["ugid"]), TenantId(BAKERY.id), None, moment(house.clock)
        )

    after = await house.refresh(login["refresh_token"])

    assert "tenant_id" not in claims_of(after.body["access_token"])["app_metadata"]
    assert house.identity.tokens.read(login["access_token"]).expires <= datetime.fromtimestamp(
        house.clock.now_ms() / 1000, UTC
    ) + timedelta(seconds=ACCESS_S)
    # Nor do they come back by logging in.
    house.passes(60)
    again = await house.login(ANA, tenant=BAKERY.id)
    assert "tenant_id" not in claims_of(again["access_token"])["app_metadata"]


async def kids(house: House) -> list[str]:
    shown = await house.call("GET", "/.well-known/jwks.json")
    return [key["kid"] for key in msgspec.convert(shown.body["keys"], list[dict[str, str]])]
