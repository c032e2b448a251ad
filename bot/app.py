"""The composition root: builds every part of a process and hands it what it needs."""

import asyncio
import contextlib
import gc
import random
import resource
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog
import uvloop
from aiohttp import web

from bot.api.once import Once
from bot.api.openapi import document, route_of
from bot.api.operations import Operations
from bot.api.reading import Reader
from bot.api.server import ApiRoutes
from bot.billing.budget import Budget
from bot.billing.cards import read_cards
from bot.billing.reckoning import ROTA_S, Reckoning
from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.embedded.stores import Stores, running_stores
from bot.engine.campaigns import KIND as CAMPAIGN_KIND
from bot.engine.campaigns import Campaigns
from bot.engine.care import LaneCare
from bot.engine.errands import Errands
from bot.engine.intake import Intake
from bot.engine.intake_health import IntakeHealth
from bot.engine.journal import PARTS as JOURNAL_PARTS
from bot.engine.journal import Journal
from bot.engine.limits import Limits
from bot.engine.proposals import Proposals
from bot.engine.recall import Recaller
from bot.engine.roots import root_of
from bot.engine.rota import Rota
from bot.engine.runner import Carrier, Runner
from bot.engine.service import Service
from bot.engine.standings import Standings
from bot.engine.worker import Worker
from bot.identity.assembly import Identity
from bot.identity.chat import ChatLogins
from bot.identity.document import CLERK
from bot.identity.document import ROUTES as LOGIN_ROUTES
from bot.identity.login_page import PAGE
from bot.identity.other_logins import OtherLogins
from bot.identity.propagation import CHORE as PROPAGATION
from bot.identity.propagation import Propagation
from bot.identity.tellings import PostgresTellings
from bot.identity.writers import Writers
from bot.lanes import Bell, Lanes, StoreLostError, Wire, install
from bot.logs import setup_logs
from bot.media.blobs import open_blobs
from bot.media.library import Library
from bot.media.links import Links
from bot.media.retention import Retention, media_days
from bot.metrics import Metrics
from bot.onboarding.assembly import NO_SYSTEMS, Onboarding
from bot.onboarding.assembly import Links as FirmLinks
from bot.onboarding.connect import Connections, ConnectTickets
from bot.onboarding.connect_page import ConnectPage
from bot.onboarding.demo import Demos
from bot.onboarding.owner import OwnerCalls
from bot.onboarding.setup import SystemSetUp
from bot.people.addresses import Addresses
from bot.people.care import PostgresCareBook
from bot.people.directory import Directory
from bot.people.moves import Moves
from bot.people.tickets import Tickets
from bot.settings import Settings
from bot.store.database import Database
from bot.store.keys import embedded_keys
from bot.store.migrate import migrate
from bot.store.secrets import SecretBox
from bot.web.front import Post
from bot.web.media import media_route
from bot.web.server import BODY_MAX, Health, metrics_route, serving
from flows.calls.signup import Part
from flows.catalogue import product_book
from flows.dialog.advance import Book
from handlers.chatwoot.client import ChatwootClient
from handlers.chatwoot.serve import Chatwoot
from handlers.desk.serve import Desk
from handlers.n8n.client import N8nClient
from handlers.n8n.serve import N8n
from handlers.odoo.client import OdooClient
from handlers.odoo.serve import Odoo
from handlers.outside import Outside
from handlers.persons import Teller
from handlers.ports import Handler
from handlers.taxpayer.client import RegisterClient
from handlers.taxpayer.serve import Taxpayers
from handlers.whatsapp.care import WhatsAppCare
from handlers.whatsapp.client import Graph
from handlers.whatsapp.connecting import Connecting
from handlers.whatsapp.embedded_signup import EmbeddedSignup
from handlers.whatsapp.form_tokens import FormTokens
from handlers.whatsapp.forms import Forms
from handlers.whatsapp.http import Origin
from handlers.whatsapp.media import MediaFetcher
from handlers.whatsapp.media_client import MediaClient
from handlers.whatsapp.serve import OUTAGE_DOUBT_MS, RESET_DOUBT_MS, WhatsAppSender
from handlers.whatsapp.uploads import Uploads
from handlers.whatsapp.webhook import PATH, SIGNATURE, WhatsAppWebhook

Role = Literal["all", "web", "worker"]

# A stop takes at most ten seconds: what is under way, then the leased turns, then the journal.
STOP_WEB_S: Final = 2.0
STOP_TURNS_S: Final = 4.0
STOP_JOURNAL_S: Final = 3.0
GC_THRESHOLD: Final = 20_000
FILES_MAX: Final = 65_536
DAY_MS: Final = 86_400_000

log = structlog.get_logger()

Extend = Callable[[web.Application, Clock], None]
"""Adds routes to the web server of a process: the emulator in development."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long silence lasts before something is concluded from it. Tests shorten it."""

    lease_ms: int = 15_000
    """A holder that is silent for so long has vanished."""
    reset_doubt_ms: int = RESET_DOUBT_MS
    outage_doubt_ms: int = OUTAGE_DOUBT_MS


@dataclass(frozen=True, slots=True)
class Running:
    """A process at work, for whoever started it in their own program."""

    address: str
    """`http://host:port`; empty for a process without a web server."""
    lanes: Lanes
    directory: Directory
    journal: Journal
    metrics: Metrics
    clock: Clock
    connect_tickets: ConnectTickets


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    stores: Stores,
    *,
    role: Role = "all",
    book: Book | None = None,
    clock: Clock | None = None,
    extend: Extend | None = None,
    waits: Waits = Waits(),
    systems: Mapping[Part, SystemSetUp] = NO_SYSTEMS,
) -> AsyncIterator[Running]:
    """One process of the server, from its first connection to a graceful stop at the end of the block.

    Args:
        systems: what this platform sets up for firms that register.

    Raises:
        StoreLostError, DirectoryError, RoleError, InstallError: it cannot start; the message says what to mend.
        OSError: the address is taken.
    """
    clock = clock or Clock()
    book = book or product_book()
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        # ------------------------------------------------------- stores
        wire = await Wire.open(
            stores.redis_url, name=f"smarterbot:{role}", replicas=settings.replicas_wait
        )
        stack.push_async_callback(wire.close)
        lanes = Lanes(
            wire,
            shards=await install(wire, shards=settings.shards),
            clock=clock,
            lease_ms=waits.lease_ms,
        )
        bell = Bell(wire)
        database = await stack.enter_async_context(
            Database.open(stores.postgres.app, statement_cache=settings.db_statement_cache)
        )
        keys = settings.keys or embedded_keys(settings.data)
        box = SecretBox(keys)
        directory = Directory(database, wire, box)
        await directory.load()
        addresses = Addresses(wire, pepper=directory.pepper, shards=lanes.shards)
        rotas = [Rota(wire, f"journal-{part}") for part in range(JOURNAL_PARTS)]
        reckoning_rota = Rota(wire, "reckoning", hold_s=ROTA_S)
        propagation_rota = Rota(wire, PROPAGATION)

        async def on_set_back(ms: int) -> None:
            await lanes.set_back(ms)
            # The store would keep their marks until the time that they were to end at.
            for rota in (*rotas, reckoning_rota, propagation_rota):
                rota.pass_on(after_s=0)

        health_of_intake = IntakeHealth(wire, clock=clock, on_set_back=on_set_back)
        journal = Journal(lanes, database)
        limits = Limits(wire, clock=clock)
        proposals = Proposals(lanes, bell, addresses)
        library = Library(
            database,
            open_blobs(settings.media_url, settings.data / "media"),
            drafts=settings.data / "drafts",
            links=Links(keys),
            public_url=settings.address,
            days_of=lambda tenant: media_days(directory.firm(tenant)),
            clock=clock,
        )
        retention = Retention(database, library, clock=clock, metrics=metrics)

        # ------------------------------------------------------- money
        care = LaneCare(lanes, bell, directory, clock=clock)
        cards = read_cards()
        budget = Budget(
            wire,
            cards,
            firm_of=directory.firm,
            alerts=care,
            clock=clock,
            metrics=metrics,
        )
        reckoning = Reckoning(
            budget, lanes, database, cards, firms=directory.firms, clock=clock, metrics=metrics
        )

        # ------------------------------------------------------- outer systems
        meta = Origin(settings.graph_url)
        stack.callback(meta.close)
        graph = Graph(meta, version=settings.graph_version)
        outside = await stack.enter_async_context(
            Outside.open(trusted=frozenset(filter(None, _trusted(settings))))
        )
        # Connections of their own: firms' systems may be slow.
        to_systems = await stack.enter_async_context(
            Outside.open(trusted=frozenset(settings.system_origins))
        )
        # Its own, too: no firm's system is reached where only the register is.
        to_register = await stack.enter_async_context(
            Outside.open(trusted=frozenset(filter(None, (settings.taxpayer_url,))))
        )
        media = MediaClient(outside, base_url=settings.graph_url, version=settings.graph_version)
        tickets = Tickets(box)
        form_tokens = FormTokens(
            tickets, directory=directory, answered=book.forms, spoken=book.texts.language_of
        )
        identity = Identity.assemble(
            settings, wire, lanes, bell, database=database, directory=directory, keys=keys, box=box,
            limits=limits, clock=clock, metrics=metrics,
        )  # fmt: skip
        sender = WhatsAppSender(
            graph,
            directory=directory,
            standings=Standings(lanes),
            limits=limits,
            budget=budget,
            intake=health_of_intake,
            care=care,
            clock=clock,
            meter=metrics,
            jitter=random.random,
            uploads=Uploads(media, library, clock=clock, meter=metrics),
            forms=form_tokens,
            letters=identity.letters,
            reset_doubt_ms=waits.reset_doubt_ms,
            outage_doubt_ms=waits.outage_doubt_ms,
        )
        stack.push_async_callback(sender.close)
        moves = Moves(lanes, bell, addresses, identity.logins, channel_of=directory.channel)
        fetcher = MediaFetcher(
            media,
            library,
            directory=directory,
            clock=clock,
            meter=metrics,
            jitter=random.random,
        )
        errands = Errands(lanes, bell, pepper=directory.pepper)
        demos = Demos(
            directory, limits, texts=book.texts, chat_url=settings.chat_url, metrics=metrics
        )
        connect_tickets = ConnectTickets(
            box, address=settings.address, able=bool(settings.meta_config_id), clock=clock
        )
        firm_links = FirmLinks(
            demo=demos.link,
            connect=connect_tickets.connect_link,
            has_demos=lambda: directory.demo() is not None,
            can_connect=lambda: connect_tickets.able,
        )
        onboarding = Onboarding.assemble(
            wire, database=database, directory=directory, box=box, writers=Writers(lanes, directory),
            proposals=proposals, errands=errands, alerts=care, limits=limits, links=firm_links, systems=systems,
            clock=clock, metrics=metrics, jitter=random.random,
        )  # fmt: skip
        owner_calls = OwnerCalls(
            Writers(lanes, directory).of,
            database=database,
            directory=directory,
            wire=wire,
            box=box,
            proposals=proposals,
            clock=clock,
            metrics=metrics,
        )
        of_turns: list[Handler] = [
            sender,
            fetcher,
            Desk(clock),
            ChatLogins(
                identity.links,
                lanes,
                database=database,
                directory=directory,
                alerts=care,
                page=f"{settings.address}{PAGE}",
                clock=clock,
                metrics=metrics,
            ),
            *onboarding.of_turns,
            Taxpayers(_register(settings, to_register), alerts=care, meter=metrics),
            owner_calls,
            demos,
            moves,
            Recaller(database, clock),
        ]
        caretaker = WhatsAppCare(
            graph,
            directory=directory,
            book=PostgresCareBook(database, wire, box, directory),
            care=care,
            clock=clock,
            meter=metrics,
        )
        others = OtherLogins.assemble(
            settings, wire, lanes, bell, errands=errands, database=database, directory=directory,
            letters=identity.letters, tokens=identity.tokens, limits=limits, outside=outside, clock=clock,
            metrics=metrics,
        )  # fmt: skip
        propagation = Propagation(database, errands, clock=clock, metrics=metrics)
        tellings = PostgresTellings(database, box, clock=clock)
        told: list[Handler] = [
            Teller(
                system, tellings, limits=limits, alerts=care, meter=metrics, jitter=random.random
            )
            for system in (
                Odoo(OdooClient(to_systems), meter=metrics),
                Chatwoot(ChatwootClient(to_systems), meter=metrics),
                N8n(N8nClient(to_systems, clock=clock)),
            )
        ]
        connections = Connections(database, wire, box, directory, errands, clock=clock)
        connecting = Connecting(graph, connections, care=care, clock=clock, meter=metrics)
        handlers = [*of_turns, *onboarding.handlers, *others.handlers, *told, connecting]

        # ------------------------------------------------------- the engine
        carriers: dict[str, Carrier] = {}
        runner = Runner(
            lanes,
            bell,
            carriers,
            clock=clock,
            metrics=metrics,
            single=frozenset(handler.kind for handler in (*handlers, caretaker)),
        )
        works = role in ("all", "worker")
        if works:
            carriers["conv"] = Worker(
                lanes,
                book,
                clock=clock,
                metrics=metrics,
                firm_of=directory.firm,
                root_of=lambda channel: root_of(book, directory.channel(channel)),
                knock_every_ms=settings.knock_days * DAY_MS,
                room=lambda: min(runner.room(handler.kind) for handler in of_turns),
            )
            for handler in (*handlers, caretaker):
                carriers[handler.kind] = Service(lanes, handler, clock=clock, metrics=metrics)
            carriers[CAMPAIGN_KIND] = Campaigns(
                lanes,
                database,
                proposals,
                directory=directory,
                limits=limits,
                clock=clock,
                metrics=metrics,
                budget=budget,
                price_of=budget.price,
                is_held=directory.is_held,
            )

        # ------------------------------------------------------- the web
        health = Health(
            {"store": lambda: wire.call("PING"), "database": lambda: _ping(database)},
            # Conversations go on without PostgreSQL, so it does not make a process unready.
            needed=frozenset({"store"}),
        )
        app = web.Application(client_max_size=BODY_MAX)
        app.add_routes(health.routes())
        app.add_routes([metrics_route(metrics, lambda: _look(lanes, directory, metrics))])
        app.add_routes([media_route(library)])
        hears = role in ("all", "web")
        posts: list[Post] = []
        if hears:
            intake = Intake(
                lanes,
                bell,
                addresses,
                errands=errands,
                clock=clock,
                metrics=metrics,
                room=lambda: runner.room("conv") if works else 0,
                take=runner.take,
                on_refused_statuses=health_of_intake.refused,
                channels_of=directory.own_channels,
                void_codes=identity.codes.void,
            )
            webhook = WhatsAppWebhook(
                app_secrets=(settings.app_secret,),
                verify_token=settings.verify_token,
                directory=directory,
                intake=intake,
                care=care,
                forms=form_tokens,
                meter=metrics,
            )
            forms = Forms(
                book.forms,
                app_secrets=(settings.app_secret,),
                directory=directory,
                tickets=tickets,
                words=book.words,
                clock=clock,
                meter=metrics,
            )
            app.add_routes([*webhook.routes(), *forms.routes()])
            operations = Operations(
                reader=Reader(directory, database, book.texts, clock),
                once=Once(wire),
                proposals=proposals,
                lanes=lanes,
                bell=bell,
                database=database,
                clock=clock,
            ).table()
            api = ApiRoutes(
                operations,
                directory=directory,
                limits=limits,
                clock=clock,
                metrics=metrics,
                document=document(
                    [
                        *map(route_of, operations),
                        *LOGIN_ROUTES,
                        *([CLERK] if settings.clerk_issuer else []),
                    ]
                ),
            )
            app.add_routes(api.routes())
            app.add_routes(identity.routes)
            app.add_routes(others.routes)
            connect_page = ConnectPage(
                connect_tickets,
                connections,
                EmbeddedSignup(graph, app_id=settings.meta_app_id, app_secret=settings.app_secret),
                database=database,
                directory=directory,
                texts=book.texts,
                limits=limits,
                app_id=settings.meta_app_id,
                config_id=settings.meta_config_id,
                sdk_url=settings.meta_sdk_url,
                chat_url=settings.chat_url,
                graph_version=settings.graph_version,
                clock=clock,
                metrics=metrics,
            )
            app.add_routes(connect_page.routes())
            await identity.keys.look()
            posts.append(Post(PATH, SIGNATURE, webhook.hear))
        if extend is not None:
            extend(app, clock)

        async with asyncio.TaskGroup() as tasks:
            owned: list[asyncio.Task[object]] = [tasks.create_task(_forever(directory.run()))]
            if works:
                owned.append(tasks.create_task(_forever(runner.run())))
                owned.append(
                    tasks.create_task(_forever(care.run(Rota(wire, "care"), random.random)))
                )
                for part, rota in enumerate(rotas):
                    owned.append(tasks.create_task(_forever(journal.run(rota, part))))
                owned.append(tasks.create_task(_forever(retention.run())))
                owned.append(tasks.create_task(_forever(reckoning.run(reckoning_rota))))
                owned.append(tasks.create_task(_forever(identity.run())))
                owned.append(tasks.create_task(_forever(owner_calls.run())))
                owned.append(tasks.create_task(_forever(propagation.run(propagation_rota))))
            if hears:
                owned.append(tasks.create_task(_forever(health_of_intake.beat())))
                owned.append(tasks.create_task(_forever(identity.keys.run())))
            address = f"http://{settings.host}:{settings.port}"
            try:
                async with serving(
                    app, settings.host, settings.port, posts=posts, stop_s=STOP_WEB_S
                ):
                    log.info("server.started", role=role, address=address, shards=lanes.shards)
                    try:
                        yield Running(
                            address, lanes, directory, journal, metrics, clock, connect_tickets
                        )
                    finally:
                        health.stopping = True
            finally:
                await runner.stop(STOP_TURNS_S)
                if works:
                    await journal.flush(STOP_JOURNAL_S)
                for task in owned:
                    task.cancel()
                log.info("server.stopped", role=role)


def run(
    settings: Settings,
    *,
    role: Role = "all",
    book: Book | None = None,
    extend: Extend | None = None,
    before: Callable[[Stores], None] | None = None,
    ready: Callable[[str], None] | None = None,
    waits: Waits = Waits(),
    systems: Mapping[Part, SystemSetUp] = NO_SYSTEMS,
) -> None:
    """Run one process until SIGTERM or SIGINT; embedded stores if no URL is set. From the main thread only.

    Args:
        before: called with the stores, once they and the schema are there.
        ready: called with the address, once the server answers on it.
        systems: as of `running`.
    """
    setup_logs(settings.log_format, settings.log_level)
    _spare_the_collector()
    _open_many_files()
    with contextlib.ExitStack() as stack:
        if settings.embedded:
            stores = stack.enter_context(running_stores(settings.data))
        else:
            stores = Stores(
                redis_url=settings.redis_url,
                postgres=PostgresUrls(owner=settings.database_owner_url, app=settings.database_url),
            )
        if settings.embedded:
            uvloop.run(migrate(owner_url=stores.postgres.owner, app_url=stores.postgres.app))
        if before is not None:
            before(stores)
        uvloop.run(
            _until_stopped(
                settings,
                stores,
                role=role,
                book=book,
                extend=extend,
                waits=waits,
                ready=ready,
                systems=systems,
            )
        )


def _spare_the_collector() -> None:
    """What was imported stays for the life of the process: the garbage collector need not look at it again.

    A message makes a few hundred objects that die by reference count; looking for cycles every 700 of them is a
    tenth of our CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)


def _open_many_files() -> None:
    """A connection is a file, and the usual soft limit of 1,024 is for programs that still use select()."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = FILES_MAX
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES_MAX, most), most))


async def _until_stopped(
    settings: Settings,
    stores: Stores,
    *,
    role: Role,
    book: Book | None,
    extend: Extend | None,
    waits: Waits,
    ready: Callable[[str], None] | None,
    systems: Mapping[Part, SystemSetUp],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(
        settings, stores, role=role, book=book, extend=extend, waits=waits, systems=systems
    ) as server:
        if ready is not None:
            ready(server.address)
        await stop.wait()


def _register(settings: Settings, outside: Outside) -> RegisterClient | None:
    if not settings.taxpayer_url:
        return None
    return RegisterClient(outside, url=settings.taxpayer_url, key=settings.taxpayer_key)


def _trusted(settings: Settings) -> tuple[str, ...]:
    """Addresses that the operator named."""
    return (settings.graph_url, settings.clerk_api_url, settings.clerk_issuer)


async def _forever(work: Coroutine[object, object, object]) -> object:
    """One of the process's own tasks: it ends by being cancelled, anything else ends the process."""
    return await work


async def _ping(database: Database) -> None:
    async with database.system() as connection:
        await connection.fetchval("SELECT 1")


async def _look(lanes: Lanes, directory: Directory, metrics: Metrics) -> None:
    """What only the store knows, for /metrics; when it does not answer, the last figures stay."""
    metrics.show_alerts(directory.open_alerts())
    with contextlib.suppress(StoreLostError):
        depths = await lanes.depths()
        for kind, depth in depths.kinds.items():
            metrics.lanes.labels(kind, "waiting").set(depth.waiting)
            metrics.lanes.labels(kind, "leased").set(depth.leased)
            metrics.lane_age_seconds.labels(kind).set(depth.oldest_ms / 1000)
        metrics.journal_lag.set(depths.journal)
        metrics.dead_letters.set(depths.dead)
