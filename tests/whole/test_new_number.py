"""A number is heard from the moment in which it was added, whatever a running server knew of it before."""

from pathlib import Path
from uuid import uuid4

from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.people.channels import add_channel
from bot.people.directory import publish_directory
from bot.people.tenants import list_firms
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.values.ids import ChannelId
from handlers.ports import Channel
from handlers.whatsapp.webhook import PATH
from tests.handlers.whatsapp.bodies import change, entry, envelope, message, signed, value
from tests.whole.conftest import SECRET, Whole, whole_server

NUMBER = "100000000000007"


async def test_a_message_to_a_number_that_was_just_added_is_kept(
    stores: Stores, tmp_path: Path, free_port: int
) -> None:
    async with whole_server(stores, tmp_path, free_port, role="web") as whole:
        assert await write(whole, "wamid.before") == 200
        before = await waiting(whole)

        await add(whole)
        statuses = [await write(whole, f"wamid.after-{n}") for n in range(2)]

        assert (before, statuses, await waiting(whole)) == (0, [200, 200], 1)


async def add(whole: Whole) -> None:
    """As `smarterbot channel add` does it."""
    settings = whole.settings
    assert settings.keys
    box = SecretBox(settings.keys)
    async with Database.open(whole.stores.postgres.app) as database:
        [firm] = await list_firms(database)
        channel = Channel(
            id=ChannelId(str(uuid4())),
            tenant=firm.id,
            phone_number_id=NUMBER,
            waba_id="2000",
            display_phone="+56 2 2345 6780",
        )
        await add_channel(database, box, channel, token="")
        wire = await Wire.open(whole.stores.redis_url, name="test")
        try:
            await publish_directory(database, wire, box)
        finally:
            await wire.close()


async def write(whole: Whole, wamid: str) -> int:
    """Somebody writes to the number; the answer to Meta."""
    body = envelope(entry(change(value(messages=[message(id=wamid)], number=NUMBER))))
    headers = {"X-Hub-Signature-256": signed(body, SECRET)}
    url = f"{whole.server.address}{PATH}"
    async with whole.http.post(url, data=body, headers=headers) as answer:
        return answer.status


async def waiting(whole: Whole) -> int:
    """Conversations in which something waits: nobody works here."""
    depths = await whole.server.lanes.depths()
    return depths.kinds["conv"].waiting if "conv" in depths.kinds else 0
