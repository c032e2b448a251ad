"""Codes of another login are carried once, sealed, within bounds, and only to where codes go."""

from collections.abc import AsyncIterator
from typing import cast

import asyncpg
import msgspec
import pytest
import redis

from bot.clock import Clock
from bot.embedded.postgres import PostgresUrls
from bot.engine.limits import Limits
from bot.identity.foreign_codes import ForeignCodes
from bot.identity.otp import CodeLetters
from bot.lanes import Bell, Lanes, Wire
from bot.people.channels import add_channel
from bot.people.directory import Directory
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.values.phone import WaId
from handlers.actions import SendCode
from handlers.ports import StoreDownError
from handlers.supabase.codes import Sent
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, BAKERY_RUT

PHONE, OTHER, PERUVIAN = WaId("56961234567"), WaId("56961234568"), WaId("51961234567")
CODE = "561166"
DAY = 20_784
PER_HOUR = 20


class Carriage:
    """The carrier on a real store."""

    def __init__(self, wire: Wire, directory: Directory, box: SecretBox) -> None:
        self.clock = Clock()
        self.lanes = Lanes(wire, shards=4, clock=self.clock)
        self.letters = CodeLetters(box)
        self.codes = ForeignCodes(
            wire,
            self.lanes,
            Bell(wire),
            directory=directory,
            letters=self.letters,
            limits=Limits(wire, clock=self.clock),
            clock=self.clock,
            countries=frozenset({"CL"}),
            per_hour=PER_HOUR,
        )

    async def send(self, phone: WaId = PHONE, code: str = CODE, *, user: str = "u1") -> Sent:
        return await self.codes.send(phone, code, user=user, locale="", day=DAY)

    async def lying(self) -> list[tuple[str, str]]:
        """(phone, code) of each letter in a send lane."""
        found = []
        for shard in range(4):
            for taken in (await self.lanes.claim(shard, "wa")).taken:
                for body in taken.items:
                    action = msgspec.json.decode(body, type=SendCode)
                    letter = self.letters.open(taken.conversation, action.sealed)
                    assert letter is not None
                    found.append(letter)
        return found


@pytest.fixture
def box() -> SecretBox:
    return SecretBox((Key(id="k1", secret=bytes(range(32))),))


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
async def directory(database: Database, wire: Wire, box: SecretBox) -> Directory:
    """Of a platform with a number of its own."""
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    channel = msgspec.structs.replace(BAKERY_CHANNEL, platform=True)
    await add_channel(database, box, channel, token="EAAG-platform")
    directory = Directory(database, wire, box)
    await directory.load()
    return directory


@pytest.fixture
def carriage(wire: Wire, directory: Directory, box: SecretBox) -> Carriage:
    return Carriage(wire, directory, box)


async def test_a_code_lies_in_the_send_lane_once(carriage: Carriage) -> None:
    assert [await carriage.send() for _ in range(3)] == [Sent.SENT, Sent.AGAIN, Sent.AGAIN]

    assert await carriage.lying() == [(PHONE, CODE)]


async def test_another_user_or_code_is_another_message(carriage: Carriage) -> None:
    assert await carriage.send() is Sent.SENT
    assert await carriage.send(code="222222") is Sent.SENT
    assert await carriage.send(OTHER, user="u2") is Sent.SENT

    assert sorted(await carriage.lying()) == [(PHONE, "222222"), (PHONE, CODE), (OTHER, CODE)]


async def test_neither_code_nor_phone_is_seen_in_the_store(
    carriage: Carriage, clean_valkey: str
) -> None:
    await carriage.send(OTHER)

    with redis.Redis.from_url(clean_valkey) as store:
        dump = repr([(key, cast(bytes, store.dump(key))) for key in store.scan_iter()])
        hashes = repr(
            [store.hgetall(key) for key in store.scan_iter() if store.type(key) == b"hash"]
        )
    for secret in (CODE, OTHER, OTHER[2:]):
        assert secret not in dump + hashes


async def test_a_country_that_is_not_served_gets_none(carriage: Carriage) -> None:
    assert await carriage.send(PERUVIAN) is Sent.COUNTRY
    assert await carriage.lying() == []


async def test_a_phone_gets_three_in_a_quarter_of_an_hour_and_tries_do_not_count(
    carriage: Carriage,
) -> None:
    for n in range(3):
        assert await carriage.send(code=f"{n}") is Sent.SENT
        assert await carriage.send(code=f"{n}") is Sent.AGAIN
    assert await carriage.send(code="3") is Sent.TOO_MANY
    assert await carriage.send(OTHER) is Sent.SENT

    carriage.clock.shift(5 * 60_000 + 1_000)
    assert await carriage.send(code="3") is Sent.SENT


async def test_all_phones_together_have_a_bound(carriage: Carriage) -> None:
    phones = [WaId(f"569612345{n:02}") for n in range(PER_HOUR + 5)]

    sent = [await carriage.send(phone, user=phone) for phone in phones]

    assert sent.count(Sent.TOO_MANY) >= 4
    assert sent.count(Sent.SENT) >= PER_HOUR - 1


async def test_without_a_number_of_the_platform_s_nothing_is_promised(
    carriage: Carriage,
    directory: Directory,
    clean_postgres: PostgresUrls,
    database: Database,
    wire: Wire,
) -> None:
    superuser = await asyncpg.connect(clean_postgres.app.replace("smarterbot_app@", "postgres@"))
    await superuser.execute("UPDATE smarterbot.channels SET platform = false")
    await superuser.close()
    await directory.load()

    assert await carriage.send() is Sent.NO_CHANNEL


async def test_a_store_that_is_away_is_told_as_such(carriage: Carriage, wire: Wire) -> None:
    await wire.close()

    with pytest.raises(StoreDownError):
        await carriage.send()
