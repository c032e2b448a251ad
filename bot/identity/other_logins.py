"""Puts the other logins (Clerk, Supabase) together, for the composition root: each is there if its settings are."""

import random
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web

from bot.clock import Clock
from bot.engine.errands import Errands
from bot.engine.limits import Limits
from bot.identity.clerk import ClerkUsers
from bot.identity.foreign_codes import ForeignCodes
from bot.identity.otp import CodeLetters
from bot.identity.tokens import Tokens
from bot.lanes import Bell, Lanes, Wire
from bot.metrics import Metrics
from bot.people.directory import Directory
from bot.settings import Settings
from bot.store.database import Database
from handlers.clerk.client import ClerkApi
from handlers.clerk.login import ClerkLogin
from handlers.clerk.serve import Clerk
from handlers.clerk.sessions import ClerkSessions
from handlers.clerk.webhook import ClerkWebhook
from handlers.outside import Outside
from handlers.ports import Handler
from handlers.standard_webhooks import Receiver
from handlers.supabase.webhook import SupabaseHook


@dataclass(frozen=True, slots=True)
class OtherLogins:
    """What a process has of them."""

    routes: tuple[web.RouteDef, ...]
    handlers: tuple[Handler, ...]

    @classmethod
    def assemble(
        cls,
        settings: Settings,
        wire: Wire,
        lanes: Lanes,
        bell: Bell,
        *,
        errands: Errands,
        database: Database,
        directory: Directory,
        letters: CodeLetters,
        tokens: Tokens,
        limits: Limits,
        outside: Outside,
        clock: Clock,
        metrics: Metrics,
    ) -> Self:
        """`directory`: loaded; `outside`: it trusts the addresses of Clerk in the settings."""
        routes: list[web.RouteDef] = []
        handlers: list[Handler] = []
        if settings.clerk_issuer:
            users = ClerkUsers(
                database,
                instance=urlsplit(settings.clerk_issuer).netloc,
                tokens=tokens,
                clock=clock,
                meter=metrics,
            )
            api = ClerkApi(
                outside, base_url=settings.clerk_api_url, secret_key=settings.clerk_secret_key
            )
            handlers.append(
                Clerk(
                    users,
                    api if settings.clerk_secret_key else None,
                    errands=errands,
                    limits=limits,
                    meter=metrics,
                    jitter=random.random,
                )
            )
            sessions = ClerkSessions(
                outside,
                issuer=settings.clerk_issuer,
                parties=settings.clerk_parties,
                clock=clock,
                meter=metrics,
            )
            routes += ClerkLogin(sessions, users, meter=metrics).routes()
            if settings.clerk_webhook_secrets:
                receiver = Receiver(settings.clerk_webhook_secrets, clock=clock)
                routes += ClerkWebhook(receiver, errands=errands, meter=metrics).routes()
        if settings.supabase_hook_secrets:
            codes = ForeignCodes(
                wire,
                lanes,
                bell,
                directory=directory,
                letters=letters,
                limits=limits,
                clock=clock,
                countries=frozenset(settings.otp_countries),
                per_hour=settings.supabase_codes_per_hour,
            )
            receiver = Receiver(settings.supabase_hook_secrets, clock=clock)
            routes += SupabaseHook(receiver, codes=codes, meter=metrics).routes()
        return cls(tuple(routes), tuple(handlers))
