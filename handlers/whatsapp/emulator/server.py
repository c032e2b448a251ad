"""The emulator as a part of an aiohttp server: the Graph API, the control API and the chat page."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from handlers.ports import Clock
from handlers.whatsapp.emulator.accounts import Accounts
from handlers.whatsapp.emulator.control import Control, OnShift
from handlers.whatsapp.emulator.faults import Board
from handlers.whatsapp.emulator.feed import Feed
from handlers.whatsapp.emulator.form_client import FormClient
from handlers.whatsapp.emulator.forms import FormStore
from handlers.whatsapp.emulator.graph import Graph
from handlers.whatsapp.emulator.graph_accounts import GraphAccounts
from handlers.whatsapp.emulator.graph_forms import GraphForms
from handlers.whatsapp.emulator.graph_media import GraphMedia
from handlers.whatsapp.emulator.media import Media
from handlers.whatsapp.emulator.phones import Pace, Phones
from handlers.whatsapp.emulator.signups import SDK, Signups
from handlers.whatsapp.emulator.templates import Template
from handlers.whatsapp.emulator.updates import Update
from handlers.whatsapp.emulator.waits import Chores, Waits
from handlers.whatsapp.emulator.webhooks import Retries, Webhooks
from handlers.whatsapp.emulator.witness import Witness
from handlers.whatsapp.emulator.world import Memory, Number, World

SHUTDOWN_S: Final = 2.0  # for answers that a fault holds back
PAGE: Final = Path(__file__).with_name("page")
_CSP: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Emulator:
    """Meta's Cloud API towards the bot, and phones towards a person. It talks to the bot over HTTP alone.

    Mount it in the bot's own process (`mount`), below a prefix (`add_subapp(prefix, emulator.application())`), or run
    it as a process of its own (`python -m handlers.whatsapp.emulator`).

    Args:
        callback_url: where the bot hears webhooks; may be set later (`callback_url`).
        app_secret: signs the webhooks.
        clock: the time of everything here.
        on_shift: moves `clock`, and the bot's clock if that is another one; without it the time cannot be moved.
        salt: part of every wamid, so that those of another run are never met again; random when empty.
        memory: how much of the past is kept.
        witness: is told what passes.
    """

    def __init__(
        self,
        *,
        callback_url: str,
        app_secret: str,
        numbers: Sequence[Number],
        clock: Clock,
        templates: Sequence[Template] = (),
        on_shift: OnShift | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        retries: Retries = Retries(),  # noqa: B008 - frozen
        salt: str = "",
        memory: Memory = Memory(),  # noqa: B008 - frozen
        witness: Witness | None = None,
    ) -> None:
        salt = salt or secrets.token_hex(4)
        self.world = World(numbers, templates, salt=salt, memory=memory)
        self.media = Media(salt=salt)
        self.forms = FormStore()
        self.form_client = FormClient(self.forms, app_secret=app_secret)
        self._feed = Feed()
        self.faults = Board(on_change=self._feed.tell_faults)
        self._chores = Chores()
        self._waits = Waits(clock)
        self._webhooks = Webhooks(
            callback_url=callback_url,
            app_secret=app_secret,
            numbers=self.world.numbers,
            clock=clock,
            waits=self._waits,
            faults=self.faults,
            chores=self._chores,
            retries=retries,
            on_taken=self._taken,
            witness=witness,
        )
        self.phones = Phones(
            world=self.world,
            webhooks=self._webhooks,
            feed=self._feed,
            clock=clock,
            waits=self._waits,
            chores=self._chores,
            media=self.media,
            pace=pace,
            faults=self.faults,
            witness=witness,
        )
        self.accounts = Accounts(self.world, clock=clock, post=self._webhooks.put_raw)
        self._webhooks.is_subscribed = lambda number: self.accounts.standing(number).subscribed
        self.signups = Signups(self.world, self.accounts, app_secret=app_secret, clock=clock)
        self._graph = Graph(
            world=self.world,
            phones=self.phones,
            media=self.media,
            accounts=self.accounts,
            forms=self.forms,
            faults=self.faults,
            clock=clock,
            waits=self._waits,
            witness=witness,
        )
        self._graph_media = GraphMedia(
            world=self.world, media=self.media, faults=self.faults, clock=clock, waits=self._waits
        )
        self._graph_accounts = GraphAccounts(
            world=self.world, accounts=self.accounts, signups=self.signups, faults=self.faults
        )
        self._graph_forms = GraphForms(world=self.world, store=self.forms, client=self.form_client)
        self._control = Control(
            world=self.world,
            phones=self.phones,
            webhooks=self._webhooks,
            faults=self.faults,
            feed=self._feed,
            clock=clock,
            waits=self._waits,
            chores=self._chores,
            media=self.media,
            accounts=self.accounts,
            signups=self.signups,
            forms=self.forms,
            form_client=self.form_client,
            on_shift=on_shift,
        )

    @property
    def callback_url(self) -> str:
        return self._webhooks.callback_url

    @callback_url.setter
    def callback_url(self, url: str) -> None:
        self._webhooks.callback_url = url

    def mount(self, app: web.Application) -> None:
        """Add the routes (page at `/`, `/api`, `/v26.0/…`) and the emulator's life to an application."""
        app.add_routes([*self._control.routes(), *_page_routes()])
        app.on_shutdown.append(self._stop_pages)
        self.mount_graph(app)

    def mount_graph(self, app: web.Application) -> None:
        """Only what the bot needs: nobody else can have anything signed, or look on."""
        app.add_routes(
            [
                *self._graph_media.routes(),
                *self._graph_forms.routes(),
                *self._graph.routes(),
                *self._graph_accounts.routes(),
            ]
        )
        app.cleanup_ctx.append(self._life)

    def application(self) -> web.Application:
        """An application of its own; as a sub-application, `<prefix>` leads to `<prefix>/`."""
        app = web.Application()
        self.mount(app)
        app.add_routes([web.get("", _to_folder)])
        return app

    @property
    def pending(self) -> int:
        """Webhooks and statuses under way."""
        return self._chores.pending

    @property
    def waiting(self) -> int:
        """How much waits for the clock alone: retries, delays, statuses to come, slow answers."""
        return self._waits.waiting

    async def settled(self, *, within_s: float = 10.0) -> None:
        """Return once every webhook and status under way has been posted or given up.

        Raises:
            TimeoutError: it takes longer.
        """
        async with asyncio.timeout(within_s):
            await self._chores.done()

    def _taken(self, update: Update) -> None:
        self.phones.taken(update)

    async def _stop_pages(self, app: web.Application) -> None:
        self._feed.close()

    async def _life(self, app: web.Application) -> AsyncIterator[None]:
        async with self._webhooks.running(), self.form_client.running(), self._chores:
            yield


@asynccontextmanager
async def serving(
    emulator: Emulator, *, host: str, port: int, graph_only: bool = False
) -> AsyncIterator[str]:
    """Serve the emulator by itself; gives its address. Port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    app = web.Application()
    (emulator.mount_graph if graph_only else emulator.mount)(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()


# ------------------------------------------------------------------ the page


def _page_routes() -> list[web.RouteDef]:
    return [
        web.get("/", _index),
        web.get("/signup", _signup),
        web.get(SDK, _sdk),
        web.get(r"/{file:[a-z]+\.(?:css|js|svg)}", _file),
        web.get(r"/wa.me/{phone:\d+}", _chat_link),
    ]


async def _index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE / "index.html", headers=_PAGE_HEADERS)


async def _signup(request: web.Request) -> web.FileResponse:
    """The window that Facebook opens, by `sdk.js`."""
    return web.FileResponse(PAGE / "signup.html", headers=_PAGE_HEADERS)


async def _sdk(request: web.Request) -> web.FileResponse:
    """For pages of any site, as Meta's."""
    headers = {**_PAGE_HEADERS, "Access-Control-Allow-Origin": "*"}
    return web.FileResponse(PAGE / "sdk.js", headers=headers)


async def _file(request: web.Request) -> web.FileResponse:
    # The route's pattern lets no separator through.
    return web.FileResponse(PAGE / request.match_info["file"], headers=_PAGE_HEADERS)


async def _chat_link(request: web.Request) -> web.Response:
    """What https://wa.me does on a phone: the chat with a number, and the message ready to be sent."""
    asked = {"phone": request.match_info["phone"], "text": request.query.get("text", "")}
    raise web.HTTPFound(location=f"../?{urlencode(asked)}")


async def _to_folder(request: web.Request) -> web.Response:
    raise web.HTTPPermanentRedirect(location=f"{request.path.rsplit('/', 1)[-1]}/")
