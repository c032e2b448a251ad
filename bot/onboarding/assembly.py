"""Puts the parts of onboarding together, for the composition root."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from bot.clock import Clock
from bot.engine.limits import Limits
from bot.engine.proposals import Proposals
from bot.identity.writers import Writers
from bot.lanes import Wire
from bot.metrics import Metrics
from bot.onboarding.firms import Firms
from bot.onboarding.joins import Joins
from bot.onboarding.setup import SetUps, SystemSetUp
from bot.onboarding.signup import Signups
from bot.people.directory import Directory, publish_directory
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.calls.signup import Part
from flows.catalogue import LOCALES
from flows.dialog.templates import read_templates
from flows.marketplace.market import MARKETPLACE, read_market
from flows.values.ids import TenantId, Ugid
from handlers.ports import Alerts, Errands, Handler

NO_SYSTEMS: Final[Mapping[Part, SystemSetUp]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Links:
    """Pages and chats that belong to a firm. Empty: this platform has none."""

    demo: Callable[[TenantId], str] = lambda _tenant: ""
    connect: Callable[[TenantId, Ugid], str] = lambda _tenant, _ugid: ""
    has_demos: Callable[[], bool] = lambda: False
    """Whether there is a number for demos."""
    can_connect: Callable[[], bool] = lambda: False
    """Whether firms can connect their own number."""


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What a process has of onboarding."""

    of_turns: tuple[Handler, ...]
    """Serve what flows ask."""
    handlers: tuple[Handler, ...]
    """Serve what nobody's turn asked."""

    @classmethod
    def assemble(
        cls,
        wire: Wire,
        *,
        database: Database,
        directory: Directory,
        box: SecretBox,
        writers: Writers,
        proposals: Proposals,
        errands: Errands,
        alerts: Alerts,
        limits: Limits,
        links: Links,
        systems: Mapping[Part, SystemSetUp],
        clock: Clock,
        metrics: Metrics,
        jitter: Callable[[], float],
    ) -> Self:
        """`directory`: loaded; `systems`: those that this platform sets up for its firms."""
        set_ups = SetUps(
            systems,
            database=database,
            box=box,
            errands=errands,
            alerts=alerts,
            clock=clock,
            metrics=metrics,
            jitter=jitter,
        )

        def has(part: Part) -> bool:
            match part:
                case "demo":
                    return links.has_demos()
                case "number":
                    return links.can_connect()
                case _:
                    return set_ups.has(part)

        async def publish() -> None:
            await publish_directory(database, wire, box)
            await directory.check()

        market = read_market(MARKETPLACE, read_templates(LOCALES))
        signups = Signups(
            Firms(database, box, market, pepper=directory.pepper, has=has),
            Joins(database),
            set_ups,
            writers,
            proposals,
            database=database,
            directory=directory,
            limits=limits,
            publish=publish,
            demo_link=links.demo,
            connect_link=links.connect,
            clock=clock,
            metrics=metrics,
        )
        return cls((signups,), (set_ups,))
