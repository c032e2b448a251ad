"""A number belongs to one tenant, and its token opens for it alone."""

import asyncpg
import pytest
from msgspec.structs import replace

from bot.people.channels import (
    Mark,
    SealedChannel,
    add_channel,
    list_channels,
    mark_channel,
    mark_of,
    open_form_key,
    open_token,
    reseal_secrets,
    set_form_key,
    set_token,
)
from bot.people.errors import TakenError, UnknownError
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.errors import SealError
from bot.store.secrets import Key, SecretBox
from flows.values.ids import ChannelId
from tests.bot.people.conftest import BAKERY_CHANNEL, BUTCHERY, BUTCHERY_RUT

OTHER_ID = ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8d")


async def test_a_channel_is_found_as_it_was_registered(bakery: Database, box: SecretBox) -> None:
    (found,) = await list_channels(bakery)

    assert found.channel == BAKERY_CHANNEL
    assert open_token(box, found) == "EAAG-bakery"
    assert "EAAG" not in found.token


async def test_a_number_belongs_to_one_tenant(bakery: Database, box: SecretBox) -> None:
    await add_tenant(bakery, BUTCHERY, rut=BUTCHERY_RUT)
    stolen = replace(BAKERY_CHANNEL, id=OTHER_ID, tenant=BUTCHERY.id)

    with pytest.raises(TakenError) as error:
        await add_channel(bakery, box, stolen, token="")

    assert error.value.field == "phone_number_id"


@pytest.mark.parametrize("mark", list(Mark))
async def test_a_number_has_one_mark_at_a_time(bakery: Database, mark: Mark) -> None:
    for each in (Mark.DEMO, Mark.PLATFORM, mark):
        await mark_channel(bakery, BAKERY_CHANNEL.id, each, tenant=BAKERY_CHANNEL.tenant)

    (found,) = await list_channels(bakery)
    assert mark_of(found.channel) is mark


async def test_the_platforms_own_number_cannot_be_for_demos(
    bakery: Database, box: SecretBox
) -> None:
    both = replace(BAKERY_CHANNEL, id=OTHER_ID, phone_number_id="2", platform=True, demo=True)

    with pytest.raises(asyncpg.CheckViolationError):
        await add_channel(bakery, box, both, token="")


async def test_nobody_marks_a_number_of_another_tenant(bakery: Database) -> None:
    await add_tenant(bakery, BUTCHERY, rut=BUTCHERY_RUT)

    with pytest.raises(UnknownError):
        await mark_channel(bakery, BAKERY_CHANNEL.id, Mark.DEMO, tenant=BUTCHERY.id)


async def test_a_channel_needs_a_tenant(database: Database, box: SecretBox) -> None:
    with pytest.raises(UnknownError):
        await add_channel(database, box, BAKERY_CHANNEL, token="")


async def test_a_channel_may_wait_for_its_token(bakery: Database, box: SecretBox) -> None:
    later = replace(BAKERY_CHANNEL, id=OTHER_ID, phone_number_id="2")
    await add_channel(bakery, box, later, token="")
    before = [
        open_token(box, sealed) for sealed in await list_channels(bakery) if sealed.channel == later
    ]

    await set_token(bakery, box, OTHER_ID, "EAAG-new", tenant=later.tenant)

    after = [
        open_token(box, sealed) for sealed in await list_channels(bakery) if sealed.channel == later
    ]
    assert (before, after) == ([""], ["EAAG-new"])


async def test_a_token_is_set_by_its_own_tenant_alone(bakery: Database, box: SecretBox) -> None:
    await add_tenant(bakery, BUTCHERY, rut=BUTCHERY_RUT)

    with pytest.raises(UnknownError):
        await set_token(bakery, box, BAKERY_CHANNEL.id, "EAAG-evil", tenant=BUTCHERY.id)


async def test_a_token_copied_to_another_channel_does_not_open(
    bakery: Database, box: SecretBox
) -> None:
    (found,) = await list_channels(bakery)

    with pytest.raises(SealError):
        open_token(box, SealedChannel(replace(BAKERY_CHANNEL, id=OTHER_ID), found.token))


async def test_tokens_are_sealed_anew_when_the_key_changes(bakery: Database) -> None:
    new, old = Key(id="k2", secret=bytes(32)), Key(id="k1", secret=bytes(range(32)))

    changed = [await reseal_secrets(bakery, SecretBox((new, old))) for _ in range(2)]

    (found,) = await list_channels(bakery)
    assert changed == [1, 0]
    assert open_token(SecretBox((new,)), found) == "EAAG-bakery"


async def test_form_keys_are_sealed_anew_too_and_open_for_their_own_channel_alone(
    bakery: Database,
) -> None:
    new, old = Key(id="k2", secret=bytes(32)), Key(id="k1", secret=bytes(range(32)))
    tenant = BAKERY_CHANNEL.tenant
    await set_form_key(bakery, SecretBox((old,)), BAKERY_CHANNEL.id, "a key", tenant=tenant)
    with pytest.raises(UnknownError):
        await set_form_key(bakery, SecretBox((old,)), OTHER_ID, "a key", tenant=tenant)

    await reseal_secrets(bakery, SecretBox((new, old)))

    (found,) = await list_channels(bakery)
    assert open_form_key(SecretBox((new,)), found) == "a key"
    moved = replace(BAKERY_CHANNEL, id=OTHER_ID)
    with pytest.raises(SealError):
        open_form_key(SecretBox((new,)), SealedChannel(moved, "", found.form_key))
