"""What Meta decides about accounts, numbers and templates reaches the next send, the metric and the operator."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.people.alerts import list_alerts
from bot.people.tenants import list_firms
from bot.store.database import Database
from handlers.ports import Channel
from tests.echo import echo_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import until

REMINDER = {"name": "recordatorio_hora", "language": "es_CL"}


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, book=echo_book()) as whole:
        yield whole


def channel(whole: Whole) -> Channel:
    [found] = whole.server.directory.channels()
    return found


def status(whole: Whole) -> str:
    template = whole.server.directory.template(channel(whole).id, *REMINDER.values())
    return template.status if template else ""


async def comes(whole: Whole, what: str, expected: str) -> None:
    """Wait until the directory tells it."""

    async def there() -> bool:
        held = whole.server.directory.is_held(channel(whole).id)
        return {"status": status(whole), "held": held}[what] == expected

    await until(there, within_s=15, what=f"{what} {expected}")


async def decides(whole: Whole, **decision: object) -> None:
    url = f"{whole.settings.graph_url}/api/accounts/{NUMBER.id}/decisions"
    async with whole.http.post(url, json=decision) as answer:
        assert answer.status == 202, await answer.text()


async def alerts(whole: Whole) -> set[tuple[str, str]]:
    async with Database.open(whole.stores.postgres.app) as database:
        [firm] = await list_firms(database)
        return {(a.kind, a.about) for a in await list_alerts(database, firm.id, settled=False)}


async def metrics(whole: Whole) -> str:
    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        return await answer.text()


async def test_a_server_that_starts_asks_meta_for_the_templates(whole: Whole) -> None:
    await comes(whole, "status", "APPROVED")


async def test_a_template_that_meta_pauses_is_known_told_and_counted(whole: Whole) -> None:
    await comes(whole, "status", "APPROVED")

    await decides(whole, type="template", event="PAUSED", title="FIRST_PAUSE", **REMINDER)
    await comes(whole, "status", "PAUSED")

    assert ("template_paused", "recordatorio_hora es_CL") in await alerts(whole)
    assert 'smarterbot_alerts_open{kind="template_paused"} 1.0' in await metrics(whole)

    await decides(whole, type="template", event="APPROVED", **REMINDER)
    await comes(whole, "status", "APPROVED")
    assert await alerts(whole) == set()
    assert 'kind="template_paused"' not in await metrics(whole)


async def test_an_account_is_held_while_meta_disables_it(whole: Whole) -> None:
    await decides(whole, type="account", event="DISABLED_UPDATE", ban="DISABLE")
    await comes(whole, "held", "account_disabled")

    await decides(whole, type="account", event="DISABLED_UPDATE", ban="REINSTATE")
    await comes(whole, "held", "")


async def test_a_number_that_cannot_be_charged_is_held_by_its_own_refusal(whole: Whole) -> None:
    """Meta posts nothing about it: the send finds out, and the next one that is taken ends it."""
    await comes(whole, "status", "APPROVED")
    whole.emulator.accounts.change(NUMBER.id, {"unpaid": True})

    await whole.people.join(1)
    await whole.people.write(1, "hola")
    await comes(whole, "held", "payment")

    whole.emulator.accounts.change(NUMBER.id, {"unpaid": False})
    whole.server.clock.shift(20 * 60_000)
    await comes(whole, "held", "")


async def test_an_upgrade_raises_the_rate_of_the_very_next_message(whole: Whole) -> None:
    await decides(whole, type="number_quality", event="THROUGHPUT_UPGRADE")

    async def faster() -> bool:
        return channel(whole).throughput == 1_000

    await until(faster, within_s=15, what="the upgrade")
