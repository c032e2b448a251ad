"""What the OpenAPI document tells of login."""

from typing import Final

from bot.api.openapi import Route
from bot.identity.link_routes import AskLink, GiveEntry
from bot.identity.routes import AskCode, GiveCode, GiveRefresh, Leave, Switch
from bot.identity.values import (
    CodeSent,
    Discovery,
    Jwks,
    LinkBegun,
    LinkStands,
    LoggedIn,
    Me,
    OpenSessions,
)
from handlers.clerk.login import Entered

_AWAY: Final = {503: "A store is away. Try again as Retry-After says."}
_OPEN: Final = {400: "The request cannot be read.", **_AWAY}
_BODY: Final = {
    **_OPEN,
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Values do not do.",
}
_TOKEN: Final = {401: "No valid access token was shown, or its session is over."}

ROUTES: Final = (
    Route(
        "POST",
        "/auth/otp",
        "askCode",
        "Send a code to a phone.",
        CodeSent,
        {
            **_BODY,
            401: "A phone is linked by whoever is logged in: show their access token.",
            429: "Too many codes for this phone, from here or in all: wait as long as Retry-After says.",
        },
        status=202,
        body=AskCode,
        example=AskCode(phone="+56961234567", locale="es_CL"),
        description="By WhatsApp, to countries of `OTP_COUNTRIES`. The answer tells nobody whether the person is known.",
    ),
    Route(
        "POST",
        "/auth/otp/verify",
        "giveCode",
        "Log in with a code.",
        LoggedIn,
        {**_BODY, 401: "The code is wrong, over or used."},
        body=GiveCode,
    ),
    Route(
        "POST",
        "/auth/link",
        "beginLink",
        "Begin a login that the person confirms in WhatsApp.",
        LinkBegun,
        {**_BODY, 429: "Too many were begun from here: wait as long as Retry-After says."},
        status=201,
        body=AskLink,
        example=AskLink(locale="es_CL"),
        description="The answer sets a cookie: the same browser alone can go on. The one that it began before is over.",
    ),
    Route(
        "GET",
        "/auth/link",
        "lookAtLink",
        "How it stands with the login that this browser began.",
        LinkStands,
        _OPEN,
        description="`GET /auth/link/events` tells the same by itself, as server-sent events named `status`.",
    ),
    Route(
        "POST",
        "/auth/link/session",
        "takeLink",
        "Log in, once the person has confirmed it.",
        LoggedIn,
        {**_OPEN, 401: "It is not confirmed, over, used, or of another browser."},
    ),
    Route(
        "POST",
        "/auth/entry",
        "enter",
        "Log in with a link that the person got in the chat.",
        LoggedIn,
        {**_BODY, 401: "It is over or used."},
        body=GiveEntry,
    ),
    Route(
        "POST",
        "/auth/refresh",
        "refresh",
        "The next access token.",
        LoggedIn,
        {**_BODY, 401: "The session is over: log in again."},
        body=GiveRefresh,
    ),
    Route(
        "POST",
        "/auth/logout",
        "logOut",
        "End this session, or all of them.",
        None,
        {**_BODY, **_TOKEN},
        status=204,
        body=Leave,
        body_needed=False,
        needs="token",
    ),
    Route(
        "POST",
        "/auth/tenant",
        "switchTenant",
        "An access token for one firm, or for none.",
        LoggedIn,
        {**_BODY, **_TOKEN, 403: "You do not belong to this firm."},
        body=Switch,
        needs="token",
    ),
    Route("GET", "/auth/me", "me", "Who is logged in.", Me, {**_OPEN, **_TOKEN}, needs="token"),
    Route(
        "GET",
        "/auth/sessions",
        "listSessions",
        "Sessions that are open.",
        OpenSessions,
        {**_OPEN, **_TOKEN},
        needs="token",
    ),
    Route(
        "DELETE",
        "/auth/sessions/{id}",
        "endSession",
        "End one of your sessions.",
        None,
        {**_OPEN, **_TOKEN, 404: "You have no such session."},
        status=204,
        needs="token",
    ),
    Route(
        "GET", "/.well-known/jwks.json", "jwks", "What our tokens are checked with.", Jwks, _OPEN
    ),
    Route(
        "GET",
        "/.well-known/openid-configuration",
        "discovery",
        "Where everything is.",
        Discovery,
        _OPEN,
    ),
)
CLERK: Final = Route(
    "POST",
    "/auth/clerk",
    "enterWithClerk",
    "An access token for whoever holds a session of Clerk.",
    Entered,
    {
        401: "No session of ours at Clerk.",
        404: "Clerk has not told us of this user yet. Try again as Retry-After says.",
        **_AWAY,
    },
    description="Show Clerk's session token as the bearer.",
    needs="token",
)
