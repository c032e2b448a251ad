"""`smarterbot serve`, `web`, `worker`, `dev`: run the server until it is told to stop."""

import asyncio
import sys
from dataclasses import replace
from functools import partial

from bot.cli.output import print_line
from bot.embedded.stores import Stores
from bot.settings import Settings, SettingsError, from_environment, whatsapp_problems


def serve() -> None:
    """Run everything in one process."""
    from bot.app import run  # the server is large, and other commands do not need it

    run(_ready(from_environment()), role="all")


def web() -> None:
    """Run only what hears: one replica of many."""
    from bot.app import run

    run(_ready(_shared(from_environment())), role="web")


def worker() -> None:
    """Run only what decides and acts: one replica of many."""
    from bot.app import run

    run(_shared(from_environment()), role="worker")


def dev() -> None:
    """Run everything with a demo firm, and an emulator that plays Meta and the phones."""
    from bot.app import run
    from bot.demo import (
        PLATFORM_NUMBER,
        connected_numbers,
        demo_settings,
        mount_emulator,
        prepare_town,
    )
    from handlers.whatsapp.emulator.world import Number

    settings = demo_settings(replace(from_environment(), log_format="console"))

    demo = ""
    connected: list[Number] = []

    def before(stores: Stores) -> None:
        nonlocal demo
        demo = asyncio.run(prepare_town(settings, stores))
        connected.extend(asyncio.run(connected_numbers(settings, stores)))

    def ready(address: str) -> None:
        home = "".join(filter(str.isdigit, PLATFORM_NUMBER.display_phone))
        print_line(f"Register a firm at SmarterOS: {settings.chat_url}/{home}?text=hola")
        print_line(f"The demo firm's bot on the demo number: {demo}")
        print_line(f"Chat with the demo firm: {address}/   (Ctrl-C stops everything)")
        sys.stdout.flush()  # whoever reads through a pipe waits for it

    run(
        settings,
        role="all",
        extend=partial(mount_emulator, settings, connected),
        before=before,
        ready=ready,
    )


def _ready(settings: Settings) -> Settings:
    if problems := whatsapp_problems(settings):
        raise SettingsError(problems)
    return settings


def _shared(settings: Settings) -> Settings:
    if settings.embedded:
        raise SettingsError(
            (
                "DATABASE_URL, REDIS_URL: replicas share their stores: set both, or run `smarterbot serve`",
            )
        )
    return settings
