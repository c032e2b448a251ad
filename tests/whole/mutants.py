"""Servers that are wrong on purpose: a trial that does not see what they do would prove nothing.

Each takes the place of a part of the product in the process that asks for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import bot.app
from bot.engine.intake import Intake
from handlers.journal import StatusSeen
from handlers.ports import Arrival, Before, Done, Happening, Item, Outcome, StoreDownError
from handlers.whatsapp.serve import WhatsAppSender


class SendsAgain(WhatsAppSender):
    """Takes no notice of doubts and proofs: what was begun is sent again."""

    async def serve(self, item: Item) -> Outcome:
        return await super().serve(replace(item, before=Before.CLEAN, proof=None))


class AnswersTooEarly(Intake):
    """Says that it is durable before it is."""

    async def hear(
        self,
        arrivals: Sequence[Arrival],
        statuses: Sequence[StatusSeen],
        happenings: Sequence[Happening] = (),
    ) -> None:
        async def later() -> None:
            try:
                await super(AnswersTooEarly, self).hear(arrivals, statuses, happenings)
            except StoreDownError:
                return

        task = asyncio.create_task(later())
        _kept.add(task)
        task.add_done_callback(_kept.discard)


class LetsOthersPass(WhatsAppSender):
    """Puts what is in doubt aside and sends it later, and what stands behind it at once."""

    async def serve(self, item: Item) -> Outcome:
        if item.before is Before.CLEAN:
            return await super().serve(item)

        async def later() -> None:
            await asyncio.sleep(1)
            late = replace(item, before=Before.CLEAN, proof=None, is_ours=lambda: True)
            await super(LetsOthersPass, self).serve(late)

        task = asyncio.create_task(later())
        _kept.add(task)
        task.add_done_callback(_kept.discard)
        return Done()


_kept: Final[set[asyncio.Task[None]]] = set()


MUTANTS: Final[dict[str, tuple[str, type]]] = {
    "sends-again": ("WhatsAppSender", SendsAgain),
    "answers-too-early": ("Intake", AnswersTooEarly),
    "lets-others-pass": ("WhatsAppSender", LetsOthersPass),
}
"""By name: which part of `bot.app` it replaces, and by what."""


def mutate(name: str) -> None:
    """From now on this process builds itself with the mutant."""
    part, mutant = MUTANTS[name]
    setattr(bot.app, part, mutant)
