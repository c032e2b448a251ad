"""The hosted page of login, `/login`: a code, or WhatsApp itself. No framework; an example for whoever builds their own.

    /login?tenant=…&locale=en&return_to=https://app.example/after

A page that is returned to gets the tokens behind the `#`, and only if its origin is one of `AUTH_ORIGINS`.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec
from aiohttp import hdrs, web
from jinja2 import Environment

from bot.people.directory import Directory
from flows.dialog.texts import Texts
from flows.values.ids import TenantId

PAGE: Final = "/login"
STEM: Final = "server.login_page."
KINDS: Final = {"login.js": "text/javascript", "login.css": "text/css"}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class LoginPage:
    """Serves the page and its two files."""

    def __init__(self, directory: Directory, texts: Texts, *, origins: tuple[str, ...]) -> None:
        """`origins`: of the pages that may be returned to."""
        folder = files(__package__) / "page"
        self._directory = directory
        self._texts = texts
        self._origins = origins
        self._page = Environment(autoescape=True).from_string((folder / "login.html").read_text())
        self._files = {name: (folder / name).read_text() for name in KINDS}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PAGE, self.show),
            *(web.get(f"{PAGE}/{name}", self._served(name)) for name in KINDS),
        ]

    async def show(self, request: web.Request) -> web.Response:
        tenant = _tenant(request.query.get("tenant", ""))
        platform = self._directory.platform()
        whose = tenant or (None if platform is None else platform.tenant)
        firm = None if whose is None else self._directory.firm(whose)
        if firm is None:
            return web.Response(status=HTTPStatus.NOT_FOUND, headers=HEADERS)
        asked = request.query.get("locale") or request.headers.get(hdrs.ACCEPT_LANGUAGE, "")[:5]
        voice = self._texts.voice(asked or firm.locale)
        words = {
            key.removeprefix(STEM): voice.render(key, {"business": firm.name})
            for key in voice
            if key.startswith(STEM)
        }
        settings = {
            "tenant": tenant,
            "locale": voice.locale,
            "returnTo": self._return_to(request.query.get("return_to", "")),
            "words": words,
        }
        other = {**request.query, "locale": "es_CL" if voice.locale.startswith("en") else "en"}
        html = self._page.render(
            t=words,
            lang=voice.locale.replace("_", "-"),
            settings=msgspec.json.encode(settings).decode(),
            other=f"?{urlencode(other)}",
        )
        return web.Response(text=html, content_type="text/html", headers=HEADERS)

    def _return_to(self, address: str) -> str:
        try:
            to = urlsplit(address)
        except ValueError:
            return ""
        return address if f"{to.scheme}://{to.netloc}" in self._origins else ""

    def _served(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(_request: web.Request) -> web.Response:
            return web.Response(
                text=self._files[name], content_type=KINDS[name], charset="utf-8", headers=HEADERS
            )

        return serve


def _tenant(told: str) -> TenantId | None:
    try:
        return TenantId(str(UUID(told)))
    except ValueError:
        return None
