"""Alerts: the same one once, until it is settled."""

from uuid import uuid4

import pytest

from bot.people.alerts import get_alert, list_alerts, raise_alert, settle_alert, settle_kinds
from bot.people.errors import UnknownError
from bot.people.tenants import add_tenant
from bot.store.database import Database
from flows.values.ids import ChannelId
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, BUTCHERY, BUTCHERY_RUT

NOW = 1_795_000_000_000


async def rings(
    database: Database,
    kind: str = "template_paused",
    about: str = "recordatorio es_CL",
    *,
    channel: ChannelId | None = BAKERY_CHANNEL.id,
    at: int = NOW,
) -> bool:
    return await raise_alert(database, BAKERY.id, channel, kind, about, at=at)


@pytest.mark.parametrize("channel", [BAKERY_CHANNEL.id, None], ids=["of-a-channel", "of-the-firm"])
async def test_the_same_one_is_counted_and_not_repeated(
    bakery: Database, channel: ChannelId | None
) -> None:
    new = [await rings(bakery, channel=channel, at=NOW + n) for n in range(3)]

    [alert] = await list_alerts(bakery, BAKERY.id, settled=False)
    assert new == [True, False, False]
    assert (alert.times, alert.channel) == (3, channel)
    assert (alert.last_at - alert.first_at).microseconds == 2000


async def test_another_one_is_another(bakery: Database) -> None:
    await rings(bakery)
    await rings(bakery, about="recordatorio en")
    await rings(bakery, "token", "")
    await rings(bakery, channel=None)

    assert len(await list_alerts(bakery, BAKERY.id, settled=False)) == 4


async def test_a_settled_one_may_come_again(bakery: Database) -> None:
    await rings(bakery)
    [alert] = await list_alerts(bakery, BAKERY.id, settled=False)

    for _ in range(2):
        await settle_alert(bakery, alert, at=NOW + 1)
    open_now = await list_alerts(bakery, BAKERY.id, settled=False)
    new = await rings(bakery, at=NOW + 2)

    assert (open_now, new) == ([], True)
    assert len(await list_alerts(bakery, BAKERY.id, settled=True)) == 2


async def test_what_mended_itself_is_settled_by_its_kind(bakery: Database) -> None:
    await rings(bakery)
    await rings(bakery, about="recordatorio en")
    await rings(bakery, "token", "")

    kinds = ("template_paused", "template_rejected")
    one = await settle_kinds(bakery, BAKERY.id, BAKERY_CHANNEL.id, kinds, "recordatorio en", at=NOW)
    rest = await settle_kinds(bakery, BAKERY.id, BAKERY_CHANNEL.id, kinds, None, at=NOW)

    assert (one, rest) == (1, 1)
    assert [a.kind for a in await list_alerts(bakery, BAKERY.id, settled=False)] == ["token"]


async def test_an_alert_is_found_by_its_id_whoever_has_it(bakery: Database) -> None:
    await add_tenant(bakery, BUTCHERY, rut=BUTCHERY_RUT)
    await rings(bakery)
    [alert] = await list_alerts(bakery, BAKERY.id, settled=False)

    assert await get_alert(bakery, [BUTCHERY.id, BAKERY.id], alert.id) == alert
    with pytest.raises(UnknownError):
        await get_alert(bakery, [BUTCHERY.id, BAKERY.id], str(uuid4()))
