"""Serves what a flow asks for, where the bot itself can answer: the call in, its result back to the conversation."""

from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import msgspec
import structlog

from bot.lanes import LaneError, StoreLostError
from bot.metrics import Metrics
from bot.store.errors import UNAVAILABLE
from flows.dialog.events import Result
from handlers.actions import Ask
from handlers.events import Answered
from handlers.ports import Again, Dead, Done, Item, Outcome, StoreDownError

AGAIN_MS: Final = 1_000

log = structlog.get_logger()
_decode: Final = msgspec.json.Decoder(Ask).decode


class RefusedCallError(Exception):
    """It is not done, and the flow says so. `why`: one word, for the metric."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


async def serve_ask(
    item: Item, answer: Callable[[Ask], Awaitable[msgspec.Raw | None]], *, metrics: Metrics
) -> Outcome:
    """What becomes of one item of a topic's lane.

    Args:
        answer: gives the call's result as JSON; None: there is no such call. It may raise RefusedCallError, and whatever
            the stores raise: then it is asked again.
    """
    kind = item.id.partition("/")[0]
    try:
        ask = _decode(item.body)
    except msgspec.MsgspecError:
        return Dead("unreadable")
    try:
        value = await answer(ask)
    except msgspec.MsgspecError:
        return Dead("unreadable")
    except RefusedCallError as error:
        return _refused(ask, kind, error.why, metrics)
    except (StoreLostError, LaneError, StoreDownError):
        return Again(AGAIN_MS, "store_down", counts=False)
    except (asyncpg.DataError, asyncpg.CheckViolationError) as error:
        # It would be the same each time.
        log.error("ask.unfit", item=item.id, error=type(error).__name__)
        return _refused(ask, kind, "unfit", metrics)
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        log.warning("ask.waits", item=item.id, error=type(error).__name__)
        return Again(AGAIN_MS, "database_down")
    if value is None:
        return Dead("unknown_call")
    return Done(event=Answered(Result(seq=ask.seq, value=value)))


def _refused(ask: Ask, kind: str, why: str, metrics: Metrics) -> Outcome:
    metrics.count(f"{kind}_refused", why)
    return Done(event=Answered(Result(seq=ask.seq, failed="refused")))
