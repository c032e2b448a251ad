"""One process of the server: the product's parts, put together as in `bot/app.py`, with its ways out behind a gate."""

from collections.abc import Callable
from typing import Final

from bot.app import Waits
from bot.engine.errands import Errands
from bot.engine.intake import Intake
from bot.engine.intake_health import IntakeHealth
from bot.engine.limits import Limits
from bot.engine.runner import Carrier
from bot.engine.service import Service
from bot.engine.standings import Standings
from bot.engine.worker import Worker
from bot.lanes import Bell, Lanes, Taken, Wire
from bot.metrics import Metrics
from bot.people.addresses import Addresses
from handlers.whatsapp.form_tokens import FormTokens
from handlers.whatsapp.serve import WhatsAppSender
from tests.bot.engine.errand import errand_book
from tests.bot.engine.outside import NUMBER, Directory, Meta, NoCare, Outside, Works, no_codes
from tests.bot.engine.still import Gate
from tests.bot.engine.store import SHARDS
from tests.handlers.whatsapp.doubles import LETTERS, TICKETS, Counts, NoUploads, Purse

SHOWN: Final = 6  # most items that a holder sees at once
SINGLE: Final = frozenset(("wa", "works"))

BOOK: Final = errand_book()


class Process:
    def __init__(
        self,
        outside: Outside,
        gate: Gate,
        wire: Wire,
        metrics: Metrics,
        waits: Waits,
        *,
        room: Callable[[str], int],
        take: Callable[[Taken], None],
        on_refused_statuses: Callable[[], None],
    ) -> None:
        """`room`: for how many more lanes of a kind."""
        clock, directory = outside.clock, Directory(outside)
        self.gate = gate
        self.bell = Bell(wire)
        self.lanes = Lanes(
            wire, shards=SHARDS, clock=clock, lease_ms=waits.lease_ms, most_items=SHOWN
        )
        self.health = IntakeHealth(wire, clock=clock)
        worker = Worker(
            self.lanes,
            BOOK,
            firm_of=directory.firm,
            clock=clock,
            metrics=metrics,
            room=lambda: min(map(room, SINGLE)),
            knock_every_ms=0,
        )
        sender = WhatsAppSender(
            Meta(gate, outside),
            directory=directory,
            standings=Standings(self.lanes),
            limits=Limits(wire, clock=clock),
            intake=self.health,
            care=NoCare(),
            clock=clock,
            meter=Counts(),
            jitter=lambda: 0.0,
            uploads=NoUploads(),
            budget=Purse(),
            forms=FormTokens(TICKETS, directory=directory, answered=(), spoken=str),
            letters=LETTERS,
            reset_doubt_ms=waits.reset_doubt_ms,
            outage_doubt_ms=waits.outage_doubt_ms,
        )
        self.carriers: dict[str, Carrier] = {
            "conv": worker,
            "wa": Service(self.lanes, sender, clock=clock, metrics=metrics),
            "works": Service(self.lanes, Works(gate, outside), clock=clock, metrics=metrics),
        }
        self.intake = Intake(
            self.lanes,
            self.bell,
            Addresses(wire, pepper=b"pepper", shards=SHARDS, new_id=outside.new_id),
            errands=Errands(self.lanes, self.bell, pepper=b"pepper"),
            clock=clock,
            metrics=metrics,
            room=lambda: room("conv"),
            take=take,
            on_refused_statuses=on_refused_statuses,
            channels_of=lambda _tenant: (NUMBER,),
            void_codes=no_codes,
        )
