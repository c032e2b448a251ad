"""`POST /auth/clerk`: a session of Clerk for an access token of ours.

It comes without a refresh token: whoever needs the next one shows what Clerk says then, so a session that ended at Clerk
ends here within the life of one token.
"""

from http import HTTPStatus
from typing import Final, Protocol

import msgspec
import structlog
from aiohttp import hdrs, web
from msgspec import Struct

from flows.values.ids import Ugid
from handlers.clerk.people import PeopleDownError
from handlers.clerk.sessions import ClerkSessions, KeysDownError, Session, SessionTokenError
from handlers.ports import Meter

PATH: Final = "/auth/clerk"
RETRY: Final = {"Retry-After": "1"}

log = structlog.get_logger()


class Entered(Struct, frozen=True):
    """A person who is logged in here now; as it is answered."""

    access_token: str
    expires_in: int
    """Seconds."""
    ugid: Ugid
    token_type: str = "bearer"  # noqa: S105 - a kind of token, not one


class UnknownUserError(Exception):
    """Nothing was heard of this user yet."""


class RefusedError(Exception):
    """This person may not log in, or has logged out of this very session here."""


class Logins(Protocol):
    async def enter(self, session: Session, *, agent: str) -> Entered:
        """The person of a Clerk session gets an access token; all tokens of one Clerk session are one session of ours.

        Raises:
            UnknownUserError, RefusedError: see there.
            PeopleDownError: try again.
        """
        ...


class ClerkLogin:
    """See the module."""

    def __init__(self, sessions: ClerkSessions, logins: Logins, *, meter: Meter) -> None:
        self._sessions = sessions
        self._logins = logins
        self._meter = meter

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """200 `Entered`; 401 for no session of ours, 404 for a user not heard of yet, 503 for later."""
        answer = await self._answer(request)
        self._meter.count("clerk_login", str(answer.status))
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise SessionTokenError("missing")
            session = await self._sessions.check(token.strip())
            agent = request.headers.get(hdrs.USER_AGENT, "")
            entered = await self._logins.enter(session, agent=agent)
        except (SessionTokenError, RefusedError):
            # Why, is not told outside.
            return _problem(HTTPStatus.UNAUTHORIZED, "token", {"WWW-Authenticate": "Bearer"})
        except UnknownUserError:
            # Clerk's webhook comes within seconds of the user.
            return _problem(HTTPStatus.NOT_FOUND, "person_unknown", RETRY)
        except (KeysDownError, PeopleDownError) as error:
            log.warning("clerk.login_unavailable", error=type(error).__name__)
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", RETRY)
        return web.Response(
            body=msgspec.json.encode(entered),
            content_type="application/json",
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )


def _problem(status: HTTPStatus, kind: str, headers: dict[str, str]) -> web.Response:
    """RFC 9457."""
    told = {"type": f"urn:smarterbot:problem:{kind}", "title": status.phrase, "status": status}
    return web.Response(
        status=status,
        body=msgspec.json.encode(told),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **headers},
    )
