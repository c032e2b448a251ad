"""Whatever is asked, the answer is one of ours: never a broken server, never a session by chance."""

from random import Random
from typing import Final

import pytest

from tests.bot.identity.conftest import House, number
from tests.bot.people.conftest import BAKERY, BUTCHERY

ROUTES: Final = (
    ("POST", "/auth/otp"),
    ("POST", "/auth/otp/verify"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/tenant"),
    ("GET", "/auth/me"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions/x"),
    ("DELETE", f"/auth/sessions/{BAKERY.id}"),
    ("PUT", "/auth/otp"),
    ("PATCH", "/auth/me"),
    ("GET", "/.well-known/jwks.json"),
)
NAMES: Final = (
    "phone", "purpose", "locale", "tenant", "challenge_id", "code", "refresh_token", "everywhere", "x",
)  # fmt: skip
VALUES: Final[tuple[object, ...]] = (
    "", "login", "link", "es_CL", "+56961234567", "123456", "1234567", "١٢٣٤٥٦", BAKERY.id, BUTCHERY.id, "\0", "ñ" * 500,
    "A" * 54, "-_" * 77, "'; DROP TABLE", "\N{RIGHT-TO-LEFT OVERRIDE}", None, True, 0, -1, 2**70, 1.5, [], {}, [{}],
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_any_request_is_answered(house: House, seed: int) -> None:
    random = Random(seed)
    token = str((await house.login(number(1), tenant=BAKERY.id))["access_token"])
    for _ in range(150):
        method, path = random.choice(ROUTES)
        names = random.sample(NAMES, random.randrange(4))
        body: object = {name: random.choice(VALUES) for name in names}
        if random.random() < 0.1:
            body = random.choice(VALUES)

        reply = await house.call(method, path, body, token=random.choice(["", token]))

        assert reply.status < 500, (method, path, body)
        if "access_token" in reply.body:
            # Acting for no firm, or for the own one, is all that may come of it.
            assert path == "/auth/tenant"
            claims = house.identity.tokens.read(reply.body["access_token"])
            assert claims.tenant in (None, BAKERY.id)
