"""Ends what an address proved, once WhatsApp says that it is somebody else's or has changed."""

from collections.abc import Sequence

import structlog

from bot.clock import Clock
from bot.identity import people
from bot.identity.moments import moment
from bot.store.database import Database
from flows.values.phone import WaId
from handlers.events import MovedWhy, Sender
from handlers.ports import Channel

log = structlog.get_logger()


class Logins:
    """What `bot.people.moves` tells of addresses, done to the people who had proved them. Twice does no harm."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def void(
        self, channel: Channel, senders: Sequence[Sender], why: MovedWhy, phone: str
    ) -> None:
        """End the sessions of whoever proved one of these addresses.

        Another device keeps its address. A number that changed into one that Meta names is followed by its person, who
        must prove the new one; every other address is nobody's until it is proved again.

        Args:
            senders: the addresses as they were.
            phone: the new wa_id, if it was told.

        Raises:
            bot.store.errors.UNAVAILABLE: nothing was changed.
        """
        scope = channel.portfolio_id or channel.waba_id
        old: dict[tuple[people.IdentityKind, str, str], None] = {}
        for sender in senders:
            if sender.wa_id:
                old["phone", "", sender.wa_id] = None
            if sender.bsuid:
                old["bsuid", scope, sender.bsuid] = None
        at = moment(self._clock)
        async with self._database.system() as connection:
            for kind, of, value in sorted(old):
                ugid = await people.person_of(connection, kind, of, value)
                if ugid is None:
                    continue
                if why == "identity":
                    await people.end_sessions(connection, ugid, people.CHANGED, at)
                elif kind == "phone" and why == "number" and phone:
                    await people.change(connection, kind, of, value, WaId(phone), at)
                else:
                    await people.unlink(connection, ugid, kind, of, value, at)
                log.info("identity.address_moved", ugid=ugid, kind=kind, why=why)
