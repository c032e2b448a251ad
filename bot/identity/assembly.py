"""Puts the parts of login together, for the composition root."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NoReturn, Self

import asyncpg
import structlog
from aiohttp import web

from bot.clock import Clock
from bot.engine.limits import Limits
from bot.identity.keys import SigningKeys
from bot.identity.link_routes import LinkRoutes
from bot.identity.links import Links
from bot.identity.login_page import LoginPage
from bot.identity.logins import Logins
from bot.identity.moments import moment
from bot.identity.otp import Caps, CodeLetters, Codes
from bot.identity.routes import IdentityRoutes, Rules
from bot.identity.secrets import Macs
from bot.identity.sessions import Sessions
from bot.identity.tokens import Tokens
from bot.lanes import Bell, Lanes, Wire
from bot.metrics import Metrics
from bot.people.directory import Directory
from bot.settings import Settings
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE, StoreError
from bot.store.secrets import Key, SecretBox
from flows.catalogue import LOCALES
from flows.dialog.texts import Texts

FORGET_EVERY_S: Final = 3_600.0
FORGET_AFTER: Final = timedelta(days=7)
"""After the end of a session its row is of no use to anybody."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a process has of login."""

    routes: list[web.RouteDef]
    links: Links
    codes: Codes
    keys: SigningKeys
    tokens: Tokens
    letters: CodeLetters
    logins: Logins
    database: Database
    clock: Clock

    @classmethod
    def assemble(
        cls,
        settings: Settings,
        wire: Wire,
        lanes: Lanes,
        bell: Bell,
        *,
        database: Database,
        directory: Directory,
        keys: tuple[Key, ...],
        box: SecretBox,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
    ) -> Self:
        """`directory`: loaded; `keys`: of the installation."""
        pepper = directory.pepper
        signing = SigningKeys(database, box, clock=clock)
        tokens = Tokens(signing, issuer=settings.address, clock=clock)
        codes = Codes(
            wire,
            lanes,
            bell,
            directory=directory,
            box=box,
            keys=keys,
            pepper=pepper,
            caps=Caps(
                per_day=settings.otp_per_day,
                per_tenant_day=settings.otp_per_tenant_day,
                usd_per_day=settings.otp_usd_per_day,
                usd_per_code=settings.otp_usd_per_code,
            ),
            clock=clock,
            metrics=metrics,
        )
        texts = Texts.load(LOCALES)
        sessions = Sessions(Macs(keys, "refresh"))
        routes = IdentityRoutes(
            database=database,
            directory=directory,
            codes=codes,
            sessions=sessions,
            tokens=tokens,
            keys=signing,
            limits=limits,
            addresses=Macs((Key("pepper", pepper),), "address"),
            rules=Rules(
                countries=settings.otp_countries,
                per_ip_hour=settings.otp_per_ip_hour,
                trusted_proxies=settings.trusted_proxies,
                origins=settings.auth_origins,
            ),
            clock=clock,
            metrics=metrics,
        )
        links = Links(wire, box=box, pepper=pepper, clock=clock)
        link_routes = LinkRoutes(
            links,
            routes,
            database=database,
            directory=directory,
            sessions=sessions,
            keys=signing,
            texts=texts,
            chat_url=settings.chat_url,
            secure=settings.address.startswith("https://"),
            proxies=settings.trusted_proxies,
            place_header=settings.place_header,
            clock=clock,
            metrics=metrics,
        )
        page = LoginPage(directory, texts, origins=settings.auth_origins)
        every = [*routes.routes(), *link_routes.routes(), *page.routes()]
        logins = Logins(database, clock=clock)
        return cls(every, links, codes, signing, tokens, CodeLetters(box), logins, database, clock)

    async def run(self) -> NoReturn:
        """Forget sessions that ended long ago: every hour, for ever, and whenever the time is moved."""
        while True:
            try:
                async with self.database.system() as connection:
                    await connection.fetchval(
                        "SELECT smarterbot.forget_sessions($1)", moment(self.clock) - FORGET_AFTER
                    )
            except (*UNAVAILABLE, StoreError, asyncpg.PostgresError) as error:
                log.warning("identity.sessions_not_forgotten", error=type(error).__name__)
            await self.clock.sleep(FORGET_EVERY_S)
