"""Whoever holds a Clerk session of ours gets an access token; anybody else learns nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from flows.values.ids import Ugid
from handlers.clerk.login import PATH, ClerkLogin, Entered, RefusedError, UnknownUserError
from handlers.clerk.people import PeopleDownError
from handlers.clerk.sessions import ClerkSessions, Session
from handlers.outside import Outside
from tests.handlers.clerk.fake import PARTY, FakeClerk
from tests.handlers.errands import Counts, Watch

UGID = Ugid("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c")


class Logins:
    """Knows one user, who may be shown out."""

    def __init__(self) -> None:
        self.down = False
        self.refused = False
        self.agents: list[str] = []

    async def enter(self, session: Session, *, agent: str) -> Entered:
        if self.down:
            raise PeopleDownError
        if session.user != "user_1":
            raise UnknownUserError
        if self.refused:
            raise RefusedError
        self.agents.append(agent)
        return Entered("a.b.c", 600, UGID)


@pytest.fixture
def logins() -> Logins:
    return Logins()


@pytest.fixture
async def client(
    fake: FakeClerk, outside: Outside, logins: Logins
) -> AsyncIterator[TestClient[Any, Any]]:
    sessions = ClerkSessions(
        outside, issuer=fake.url, parties=[PARTY], clock=Watch(), meter=Counts()
    )
    app = web.Application()
    app.add_routes(ClerkLogin(sessions, logins, meter=Counts()).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def asks(client: TestClient[Any, Any], authorization: str) -> tuple[int, Any]:
    headers = {"Authorization": authorization, "User-Agent": "Chrome"}
    async with client.post(PATH, headers=headers) as response:
        assert response.headers["Cache-Control"] == "no-store"
        if response.status != 200:
            assert response.content_type == "application/problem+json"
        return response.status, await response.json()


async def test_a_session_gets_an_access_token_and_no_refresh_token(
    client: TestClient[Any, Any], fake: FakeClerk, logins: Logins
) -> None:
    assert await asks(client, f"Bearer {fake.token('user_1', Watch().s)}") == (
        200,
        {"access_token": "a.b.c", "expires_in": 600, "ugid": UGID, "token_type": "bearer"},
    )
    assert logins.agents == ["Chrome"]


async def test_every_wrong_token_looks_alike(
    client: TestClient[Any, Any], fake: FakeClerk, logins: Logins
) -> None:
    now_s = Watch().s
    wrong = [
        "x",
        fake.token("user_1", now_s, azp="https://evil.example"),
        fake.token("user_1", now_s - 3_600),
        fake.token("user_1", now_s, signed_by="ins_2"),
    ]
    expected = {"type": "urn:smarterbot:problem:token", "title": "Unauthorized", "status": 401}

    for token in wrong:
        assert await asks(client, f"Bearer {token}") == (401, expected)
    assert await asks(client, "Basic eDp5") == (401, expected)
    logins.refused = True
    assert await asks(client, f"Bearer {fake.token('user_1', now_s)}") == (401, expected)


async def test_a_user_that_was_not_heard_of_yet_is_404(
    client: TestClient[Any, Any], fake: FakeClerk
) -> None:
    status, told = await asks(client, f"Bearer {fake.token('user_2', Watch().s)}")

    assert (status, told["type"]) == (404, "urn:smarterbot:problem:person_unknown")


@pytest.mark.parametrize("what", ["keys", "people"])
async def test_what_cannot_be_asked_now_is_503(
    client: TestClient[Any, Any], fake: FakeClerk, logins: Logins, what: str
) -> None:
    fake.keys_down, logins.down = what == "keys", what == "people"

    assert (await asks(client, f"Bearer {fake.token('user_1', Watch().s)}"))[0] == 503
