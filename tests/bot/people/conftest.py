"""Firms, channels and keys for the tests of people."""

from collections.abc import AsyncIterator

import pytest

from bot.lanes import Wire
from bot.people.channels import add_channel
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.dialog.ctx import Firm
from flows.values.ids import ChannelId, TenantId
from flows.values.rut import Rut
from handlers.ports import Channel

BAKERY = Firm(
    id=TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff"),
    name="Panadería Sol",
    settings={"phone": "+56961234567"},
)
BUTCHERY = Firm(id=TenantId("7d444840-9dc0-41d1-b245-5ffdce74fad2"), name="Carnes Luna")
BAKERY_RUT = Rut("765432103")
BUTCHERY_RUT = Rut("761234560")

BAKERY_CHANNEL = Channel(
    id=ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c"),
    tenant=BAKERY.id,
    phone_number_id="106540352242922",
    waba_id="102290129340398",
    display_phone="+56 9 6123 4567",
    portfolio_id="2729063490586005",
)


@pytest.fixture
def box() -> SecretBox:
    return SecretBox((Key(id="k1", secret=bytes(range(32))),))


@pytest.fixture
async def wire(clean_valkey: str) -> AsyncIterator[Wire]:
    wire = await Wire.open(clean_valkey)
    yield wire
    await wire.close()


@pytest.fixture
async def bakery(database: Database, box: SecretBox) -> Database:
    """The database with one firm and its channel."""
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_channel(database, box, BAKERY_CHANNEL, token="EAAG-bakery")
    return database
