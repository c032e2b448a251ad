"""The directory answers from memory, learns of changes through the store, and starts without PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from msgspec.structs import replace

from bot.embedded.postgres import PostgresUrls
from bot.lanes import StoreLostError, Wire
from bot.people.alerts import raise_alert
from bot.people.channels import add_channel, set_form_key, set_token
from bot.people.directory import KEY, Directory, publish_directory
from bot.people.errors import DirectoryError
from bot.people.health import change_health
from bot.people.templates import replace_templates
from bot.people.tenants import change_settings
from bot.store.database import Database
from bot.store.errors import RoleError
from bot.store.secrets import Key, SecretBox
from flows.values.ids import ChannelId
from handlers.ports import Template
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL

SECOND = replace(
    BAKERY_CHANNEL, id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8d"), phone_number_id="2"
)


@pytest.fixture
async def away() -> AsyncIterator[Database]:
    """A database that nobody can reach."""
    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as database:
        yield database


@pytest.fixture
async def directory(bakery: Database, wire: Wire, box: SecretBox) -> Directory:
    directory = Directory(bakery, wire, box)
    await directory.load()
    return directory


async def test_it_knows_every_firm_and_channel(directory: Directory) -> None:
    assert directory.channel_by_number("106540352242922") == BAKERY_CHANNEL
    assert directory.channel(BAKERY_CHANNEL.id) == BAKERY_CHANNEL
    assert directory.firm(BAKERY.id) == BAKERY
    assert directory.token(BAKERY_CHANNEL.id) == "EAAG-bakery"
    assert len(directory.pepper) == 32


async def test_what_it_does_not_know_is_nothing(directory: Directory) -> None:
    assert directory.channel_by_number("404") is None
    assert directory.channel(SECOND.id) is None
    assert directory.token(SECOND.id) == ""


async def test_it_knows_the_platform_s_numbers(
    bakery: Database, directory: Directory, wire: Wire, box: SecretBox
) -> None:
    assert (directory.platform(), directory.demo()) == (None, None)
    own = replace(SECOND, platform=True)
    show = replace(
        SECOND, id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8e"), phone_number_id="3", demo=True
    )
    for channel in (own, show):
        await add_channel(bakery, box, channel, token="")
    await publish_directory(bakery, wire, box)

    await directory.check()

    assert (directory.platform(), directory.demo()) == (own, show)


async def test_it_knows_whose_an_account_is(directory: Directory) -> None:
    assert directory.channels_of(BAKERY_CHANNEL.waba_id) == (BAKERY_CHANNEL,)
    assert directory.channels_of(BAKERY_CHANNEL.portfolio_id) == (BAKERY_CHANNEL,)
    assert directory.channels_of("404") == ()
    assert directory.channels_of("") == ()


async def test_what_meta_says_of_a_number_arrives_without_postgresql(
    bakery: Database, directory: Directory, away: Database, wire: Wire, box: SecretBox
) -> None:
    other = Directory(away, wire, box)
    await other.load()
    template = Template("aviso", "es_CL", "PAUSED", "utility", "RED", ("nombre", "fecha"))
    await replace_templates(bakery, BAKERY.id, BAKERY_CHANNEL.waba_id, [template], as_of=1)
    await change_health(bakery, BAKERY_CHANNEL, lambda h: h.held("payment", "token"), at=1)
    await raise_alert(bakery, BAKERY.id, None, "token", "", at=1)
    await publish_directory(bakery, wire, box)

    await other.check()

    assert other.template(BAKERY_CHANNEL.id, "aviso", "es_CL") == template
    assert other.template(BAKERY_CHANNEL.id, "aviso", "en") is None
    assert other.is_held(BAKERY_CHANNEL.id) == "token"
    assert other.open_alerts() == {"token": 1}


async def test_a_template_of_another_firm_s_account_is_not_ours(
    bakery: Database, directory: Directory, wire: Wire, box: SecretBox
) -> None:
    template = Template("aviso", "es_CL", "APPROVED", "utility")
    await replace_templates(bakery, BAKERY.id, "another waba", [template], as_of=1)
    await publish_directory(bakery, wire, box)
    await directory.check()

    assert directory.template(BAKERY_CHANNEL.id, "aviso", "es_CL") is None
    assert directory.template(SECOND.id, "aviso", "es_CL") is None
    assert directory.is_held(BAKERY_CHANNEL.id) == ""


async def test_a_copy_of_an_older_version_is_understood(
    directory: Directory, away: Database, wire: Wire, box: SecretBox
) -> None:
    """It knew neither templates nor holds."""
    copy = msgspec.json.decode(await wire.call("HGET", KEY, "snapshot"))  # type: ignore[arg-type]  # bytes
    old = {name: copy[name] for name in ("firms", "channels", "tokens")}
    await wire.call("HSET", KEY, "snapshot", msgspec.json.encode(old))

    other = Directory(away, wire, box)
    await other.load()

    assert other.channel(BAKERY_CHANNEL.id) == BAKERY_CHANNEL
    assert other.is_held(BAKERY_CHANNEL.id) == ""


async def test_the_keys_of_forms_are_known_by_channel_and_the_numbers_of_an_account_by_each_other(
    directory: Directory, bakery: Database, wire: Wire, box: SecretBox
) -> None:
    elsewhere = replace(
        SECOND,
        id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8e"),
        phone_number_id="3",
        waba_id="9",
    )
    for channel in (SECOND, elsewhere):
        await add_channel(bakery, box, channel, token="EAAG-two")
    await set_form_key(bakery, box, SECOND.id, "a key", tenant=SECOND.tenant)
    await publish_directory(bakery, wire, box)
    await directory.check()

    assert directory.siblings(SECOND) == [SECOND, BAKERY_CHANNEL]
    assert directory.siblings(elsewhere) == [elsewhere]
    keys = [directory.form_keys(c.id) for c in (BAKERY_CHANNEL, SECOND, elsewhere)]
    assert keys == ["", "a key", ""]
    kept = await wire.call("HGET", KEY, "snapshot")
    assert isinstance(kept, bytes)
    assert b"a key" not in kept


async def test_a_process_starts_while_postgresql_is_down(
    directory: Directory, away: Database, wire: Wire, box: SecretBox
) -> None:
    other = Directory(away, wire, box)

    await other.load()

    assert other.channel_by_number("106540352242922") == BAKERY_CHANNEL
    assert other.token(BAKERY_CHANNEL.id) == "EAAG-bakery"
    assert other.pepper == directory.pepper


async def test_a_first_start_without_postgresql_says_what_is_wrong(
    away: Database, wire: Wire, box: SecretBox
) -> None:
    with pytest.raises(DirectoryError, match="DATABASE_URL"):
        await Directory(away, wire, box).load()


async def test_a_role_that_sees_everything_is_not_started_with(
    clean_postgres: PostgresUrls, wire: Wire, box: SecretBox
) -> None:
    async with Database.open(clean_postgres.owner) as owner:
        with pytest.raises(RoleError):
            await Directory(owner, wire, box).load()


async def test_a_published_change_arrives_without_postgresql(
    bakery: Database, directory: Directory, away: Database, wire: Wire, box: SecretBox
) -> None:
    other = Directory(away, wire, box)
    await other.load()
    await change_settings(bakery, BAKERY.id, {"emoji": "🥐"})
    await set_token(bakery, box, BAKERY_CHANNEL.id, "EAAG-new", tenant=BAKERY.id)
    await publish_directory(bakery, wire, box)

    await other.check()

    firm = other.firm(BAKERY.id)
    assert firm is not None
    assert firm.settings["emoji"] == "🥐"
    assert other.token(BAKERY_CHANNEL.id) == "EAAG-new"


async def test_a_number_asked_for_in_vain_is_looked_up_once(
    bakery: Database, directory: Directory, wire: Wire, box: SecretBox
) -> None:
    await add_channel(bakery, box, SECOND, token="")  # nobody published it
    before = directory.channel_by_number("2")
    directory.channel_by_number("404")

    await directory.check()

    assert before is None
    assert directory.channel_by_number("2") == SECOND


async def test_a_number_that_stays_unknown_is_not_looked_up_again(
    bakery: Database, directory: Directory, wire: Wire
) -> None:
    directory.channel_by_number("404")
    await directory.check()
    await wire.call("HSET", KEY, "pepper", b"marked")  # a publication would put the right one back

    directory.channel_by_number("404")
    await directory.check()

    assert await wire.call("HGET", KEY, "pepper") == b"marked"


async def test_whoever_looks_again_finds_what_was_published_before(
    bakery: Database, directory: Directory, wire: Wire, box: SecretBox
) -> None:
    async with reading(directory):
        for number in ("2", "3", "4"):
            channel = replace(
                SECOND, id=ChannelId(f"{number}{SECOND.id[1:]}"), phone_number_id=number
            )
            await add_channel(bakery, box, channel, token="")
            await publish_directory(bakery, wire, box)

            assert await asyncio.gather(*(directory.look_again() for _ in range(3))) == [True] * 3
            assert directory.channel_by_number(number) == channel


async def test_whoever_looks_again_learns_that_the_store_is_away(
    directory: Directory, wire: Wire
) -> None:
    await wire.close()

    async with reading(directory):
        assert not await directory.look_again()


@asynccontextmanager
async def reading(directory: Directory) -> AsyncIterator[None]:
    """It reads by itself, as in a running server."""
    task = asyncio.create_task(directory.run())
    try:
        yield
    finally:
        task.cancel()


async def test_a_store_that_was_emptied_is_filled_again(directory: Directory, wire: Wire) -> None:
    await wire.call("FLUSHALL")

    await directory.check()

    assert await wire.call("HEXISTS", KEY, "snapshot")
    assert directory.channel_by_number("106540352242922") == BAKERY_CHANNEL


async def test_a_store_that_is_away_changes_nothing(
    bakery: Database, box: SecretBox, directory: Directory, wire: Wire
) -> None:
    await wire.close()

    await directory.check()

    with pytest.raises(StoreLostError):
        await publish_directory(bakery, wire, box)
    assert directory.channel_by_number("106540352242922") == BAKERY_CHANNEL


async def test_the_store_holds_no_token_and_no_pepper_in_clear(
    directory: Directory, wire: Wire
) -> None:
    everything = repr(await wire.call("HGETALL", KEY))

    assert "EAAG" not in everything
    assert repr(directory.pepper)[2:-1] not in everything
    assert directory.pepper.hex() not in everything


async def test_other_keys_than_the_installation_s_are_refused(
    directory: Directory, away: Database, wire: Wire
) -> None:
    stranger = SecretBox((Key(id="k1", secret=bytes(32)),))

    with pytest.raises(DirectoryError, match="SMARTERBOT_KEYS"):
        await Directory(away, wire, stranger).load()
