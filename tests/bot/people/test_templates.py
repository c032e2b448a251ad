"""Templates: what Meta said last counts, in whatever order it is heard."""

import pytest
from msgspec.structs import replace

from bot.people.templates import change_template, list_templates, replace_templates
from bot.store.database import Database
from handlers.ports import Template
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL

WABA = BAKERY_CHANNEL.waba_id
MINUTE = 60_000
NOW = 1_795_000_000_000
REMINDER = Template(
    "recordatorio",
    "es_CL",
    status="APPROVED",
    category="utility",
    parameters=("nombre", "fecha"),
)
KEY = ("recordatorio", "es_CL")


@pytest.fixture
async def listed(bakery: Database) -> Database:
    """Meta was asked a minute ago, and named one template."""
    await replace_templates(bakery, BAKERY.id, WABA, [REMINDER], as_of=NOW - MINUTE)
    return bakery


async def test_what_meta_lists_is_written_down(listed: Database) -> None:
    assert await list_templates(listed, BAKERY.id, WABA) == [REMINDER]


async def test_a_second_listing_tells_what_is_new_changed_or_gone(listed: Database) -> None:
    paused = replace(REMINDER, status="PAUSED")
    english = replace(REMINDER, locale="en")
    await replace_templates(listed, BAKERY.id, WABA, [paused, english], as_of=NOW)

    changes = await replace_templates(listed, BAKERY.id, WABA, [REMINDER], as_of=NOW + 1)

    assert changes == [(english, None), (paused, REMINDER)]
    assert await list_templates(listed, BAKERY.id, WABA) == [REMINDER]


async def test_a_change_is_written_down(listed: Database) -> None:
    change = await change_template(
        listed, BAKERY.id, WABA, KEY, {"status": "PAUSED", "quality": "RED"}, at=NOW
    )

    paused = replace(REMINDER, status="PAUSED", quality="RED")
    assert change == (REMINDER, paused)
    assert await list_templates(listed, BAKERY.id, WABA) == [paused]


async def test_an_older_change_that_comes_later_changes_nothing(listed: Database) -> None:
    await change_template(listed, BAKERY.id, WABA, KEY, {"status": "PAUSED"}, at=NOW + 5)

    await change_template(listed, BAKERY.id, WABA, KEY, {"status": "APPROVED"}, at=NOW)

    [template] = await list_templates(listed, BAKERY.id, WABA)
    assert template.status == "PAUSED"


async def test_each_aspect_has_a_time_of_its_own(listed: Database) -> None:
    await change_template(listed, BAKERY.id, WABA, KEY, {"status": "PAUSED"}, at=NOW + 5)

    await change_template(listed, BAKERY.id, WABA, KEY, {"quality": "YELLOW"}, at=NOW)

    [template] = await list_templates(listed, BAKERY.id, WABA)
    assert (template.status, template.quality) == ("PAUSED", "YELLOW")


async def test_a_listing_does_not_take_back_what_was_heard_since(listed: Database) -> None:
    new = {"status": "APPROVED", "category": "utility"}
    await change_template(listed, BAKERY.id, WABA, KEY, {"status": "DISABLED"}, at=NOW)
    await change_template(listed, BAKERY.id, WABA, ("nuevo", "en"), new, at=NOW)

    await replace_templates(listed, BAKERY.id, WABA, [REMINDER], as_of=NOW - 1)

    found = {t.name: t.status for t in await list_templates(listed, BAKERY.id, WABA)}
    assert found == {"nuevo": "APPROVED", "recordatorio": "DISABLED"}


async def test_a_template_that_nobody_described_is_not_invented(listed: Database) -> None:
    change = await change_template(
        listed, BAKERY.id, WABA, ("otro", "es_CL"), {"status": "APPROVED"}, at=NOW
    )

    assert change == (None, None)
    assert await list_templates(listed, BAKERY.id, WABA) == [REMINDER]
