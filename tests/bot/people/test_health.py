"""The health of a channel is changed step by step, and read as it stands."""

import asyncio

from msgspec.structs import replace

from bot.people.alerts import list_alerts, raise_alert
from bot.people.health import change_health, free_channel, get_health
from bot.store.database import Database
from handlers.whatsapp.health import Health
from tests.bot.people.conftest import BAKERY_CHANNEL

NOW = 1_795_000_000_000


async def test_a_channel_of_which_nothing_was_heard_is_well(bakery: Database) -> None:
    assert await get_health(bakery, BAKERY_CHANNEL) == Health()


async def test_a_change_tells_before_and_after(bakery: Database) -> None:
    ill = Health(
        holds=("token",),
        limits=("spam_limit",),
        quality="RED",
        tier="TIER_2K",
        name_status="DECLINED",
        token_kind="USER",
        token_expires_at=NOW + 1,
        checked_at=NOW,
    )

    assert await change_health(bakery, BAKERY_CHANNEL, lambda _: ill, at=NOW) == (Health(), ill)
    assert await get_health(bakery, BAKERY_CHANNEL) == ill


async def test_changes_at_once_do_not_overwrite_each_other(bakery: Database) -> None:
    await asyncio.gather(
        change_health(bakery, BAKERY_CHANNEL, lambda health: health.held("payment"), at=NOW),
        change_health(bakery, BAKERY_CHANNEL, lambda health: health.held("token"), at=NOW),
        change_health(
            bakery, BAKERY_CHANNEL, lambda health: replace(health, quality="RED"), at=NOW
        ),
    )

    health = await get_health(bakery, BAKERY_CHANNEL)
    assert health == Health(holds=("token", "payment"), quality="RED")


async def test_what_somebody_has_mended_is_free_again(bakery: Database) -> None:
    await change_health(bakery, BAKERY_CHANNEL, lambda h: h.held("token", "payment"), at=NOW)
    for kind in ("token", "payment"):
        await raise_alert(bakery, BAKERY_CHANNEL.tenant, BAKERY_CHANNEL.id, kind, "", at=NOW)

    await free_channel(bakery, BAKERY_CHANNEL, "token", "permission", at=NOW + 1)

    left = await list_alerts(bakery, BAKERY_CHANNEL.tenant, settled=False)
    assert (await get_health(bakery, BAKERY_CHANNEL)).holds == ("payment",)
    assert [alert.kind for alert in left] == ["payment"]
