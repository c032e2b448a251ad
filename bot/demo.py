"""Development: a demo firm and SmarterOS, their numbers, and the emulator that plays Meta and the phones.

python -m bot.demo THROUGHPUT     the demo firm's server alone, settings from the environment, for `smarterbot loadtest`
"""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import uuid4

import msgspec
from aiohttp import web

from bot.clock import Clock
from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.onboarding.demo import link_to_demo
from bot.people.channels import (
    Mark,
    add_channel,
    list_channels,
    mark_channel,
    mark_of,
    open_token,
)
from bot.people.directory import publish_directory
from bot.people.tenants import add_tenant, get_tenant, list_firms
from bot.settings import Settings, from_environment
from bot.store.database import Database
from bot.store.keys import embedded_keys
from bot.store.secrets import SecretBox
from flows.customer.shop import check_setting
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId
from flows.values.rut import Rut
from handlers.ports import Channel
from handlers.whatsapp.emulator.accounts import APP_ID
from handlers.whatsapp.emulator.server import Emulator
from handlers.whatsapp.emulator.signups import CONFIG_ID, SDK
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.world import Number, NumberId
from handlers.whatsapp.webhook import PATH

NAME: Final = "Panadería Sol"
RUT: Final = Rut("765432103")
TOKEN: Final = "demo-token"  # noqa: S105  the emulator's own, of no value anywhere else
NUMBER: Final = Number(
    id=NumberId("100000000000001"),
    waba_id="200000000000001",
    display_phone="+56 2 2345 6789",
    name=NAME,
    token=TOKEN,
    portfolio_id="300000000000001",
)
HOME: Final = "SmarterOS"
HOME_RUT: Final = Rut("776543217")
PLATFORM_NUMBER: Final = Number(
    id=NumberId("100000000000002"),
    waba_id="200000000000002",
    display_phone="+56 2 2345 6700",
    name=HOME,
    token=TOKEN,
    portfolio_id="300000000000002",
)
DEMO_NUMBER: Final = Number(
    id=NumberId("100000000000003"),
    waba_id="200000000000002",
    display_phone="+56 2 2345 6701",
    name=f"{HOME}: demos",
    token=TOKEN,
    portfolio_id="300000000000002",
)
HOME_SETTINGS: Final = {
    "web": "https://smarteros.example",
    "legal_url": "https://smarteros.example/legal",
    "terms_version": "2026-11",
    "data_processing_version": "2026-11",
}
CHATS: Final = "/wa.me"
"""Where the emulator's page opens a chat, as https://wa.me does on a phone."""
SETTINGS: Final = {
    "hours": "lun-sáb 8:00-20:00; dom 8:00-14:00",
    "address": "Av. Los Aromos 123, Villa Alemana",
    "products": (
        "Marraqueta: $1.990 el kilo\n"
        "Hallulla: $2.290 el kilo\n"
        "Torta para 20 personas: $24.990, con 48 horas de anticipación"
    ),
    "phone": "+56 2 2345 6789",
    "privacy_url": "https://sol.example/privacidad",
    "emoji": "🥖",
}


OWN_NUMBERS: Final = (NUMBER, PLATFORM_NUMBER, DEMO_NUMBER)


def demo_settings(settings: Settings) -> Settings:
    """The settings of a process that talks to its own emulator."""
    emulator = f"http://{settings.host}:{settings.port}"
    return replace(
        settings,
        app_secret=settings.app_secret or secrets.token_hex(16),
        verify_token=settings.verify_token or secrets.token_hex(16),
        graph_url=emulator,
        chat_url=f"{emulator}{CHATS}",
        meta_app_id=APP_ID,
        meta_config_id=CONFIG_ID,
        meta_sdk_url=f"{emulator}{SDK}",
    )


async def prepare_demo(
    settings: Settings, stores: Stores, *, number: Number = NUMBER, mark: Mark = Mark.FIRM
) -> None:
    """Make the demo firm with one number, unless they are there."""
    await _prepare(settings, stores, [(_bakery(), RUT, [(number, mark)])])


async def prepare_town(settings: Settings, stores: Stores) -> str:
    """Make the demo firm with its number, and SmarterOS with its own and the demo number, unless they are there.

    Answers the address of the demo firm's demo.
    """
    home = Firm(id=TenantId(str(uuid4())), name=HOME, settings=HOME_SETTINGS)
    marked = [(PLATFORM_NUMBER, Mark.PLATFORM), (DEMO_NUMBER, Mark.DEMO)]
    await _prepare(
        settings,
        stores,
        [(_bakery(), RUT, [(NUMBER, Mark.FIRM)]), (home, HOME_RUT, marked)],
    )
    async with Database.open(stores.postgres.app) as database:
        channels = {
            each.channel.phone_number_id: each.channel for each in await list_channels(database)
        }
        bakery = (await get_tenant(database, channels[NUMBER.id].tenant)).firm
        return await link_to_demo(
            database, bakery, channels[DEMO_NUMBER.id], chat_url=settings.chat_url
        )


def _bakery() -> Firm:
    checked = {key: check_setting(key, value) for key, value in SETTINGS.items()}
    return Firm(id=TenantId(str(uuid4())), name=NAME, settings=checked)


async def _prepare(
    settings: Settings,
    stores: Stores,
    firms: Sequence[tuple[Firm, Rut, Sequence[tuple[Number, Mark]]]],
) -> None:
    box = SecretBox(settings.keys or embedded_keys(settings.data))
    async with Database.open(stores.postgres.app) as database:
        there = {
            each.channel.phone_number_id: each.channel for each in await list_channels(database)
        }
        for firm, rut, numbers in firms:
            if numbers[0][0].id not in there:
                await add_tenant(database, firm, rut=rut)
            for number, mark in numbers:
                if (known := there.get(number.id)) is None:
                    channel = _channel(number, firm.id, mark)
                    await add_channel(database, box, channel, token=number.token)
                elif mark_of(known) is not mark:
                    # Of a folder that an older version has left.
                    await mark_channel(database, known.id, mark, tenant=known.tenant)
        wire = await Wire.open(stores.redis_url, name="smarterbot:demo")
        try:
            await publish_directory(database, wire, box)
        finally:
            await wire.close()


def _channel(number: Number, tenant: TenantId, mark: Mark) -> Channel:
    return Channel(
        id=ChannelId(str(uuid4())),
        tenant=tenant,
        phone_number_id=number.id,
        waba_id=number.waba_id,
        display_phone=number.display_phone,
        portfolio_id=number.portfolio_id,
        throughput=number.per_s,
        platform=mark is Mark.PLATFORM,
        demo=mark is Mark.DEMO,
    )


async def connected_numbers(settings: Settings, stores: Stores) -> list[Number]:
    """Numbers that were connected on `/connect` before: an emulator that is started anew has to be told of them."""
    box = SecretBox(settings.keys or embedded_keys(settings.data))
    async with Database.open(stores.postgres.app) as database:
        names = {firm.id: firm.name for firm in await list_firms(database)}
        return [
            Number(
                id=NumberId(channel.phone_number_id),
                waba_id=channel.waba_id,
                display_phone=channel.display_phone,
                name=names[channel.tenant],
                token=open_token(box, sealed),
                portfolio_id=channel.portfolio_id or channel.waba_id,
            )
            for sealed in await list_channels(database)
            if (channel := sealed.channel).phone_number_id not in {each.id for each in OWN_NUMBERS}
        ]


def mount_emulator(
    settings: Settings, connected: Sequence[Number], app: web.Application, clock: Clock
) -> None:
    """Add the emulator to a process's own web server; its page is at `/`. `connected`: see `connected_numbers`."""

    async def shift(ms: int) -> None:
        clock.shift(ms)

    emulator = Emulator(
        callback_url=f"http://{settings.host}:{settings.port}{PATH}",
        app_secret=settings.app_secret,
        numbers=[*OWN_NUMBERS, *connected],
        templates=read_templates(SAMPLES),
        clock=clock,
        on_shift=shift,
    )
    emulator.mount(app)


def main(throughput: int) -> None:
    """Serve the demo firm; Meta and the phones are elsewhere. `throughput`: of its number, messages a second."""
    from bot.app import run  # the server is large, and importing this module should not cost it

    settings = from_environment()
    number = msgspec.structs.replace(NUMBER, per_s=throughput)
    run(
        settings,
        before=lambda stores: asyncio.run(prepare_demo(settings, stores, number=number)),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
