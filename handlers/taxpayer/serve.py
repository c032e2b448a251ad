"""Serves the lanes `taxpayer/<conversation>`: a suggestion, which may be missing. Nobody waits for a register."""

from typing import Final

import msgspec
import structlog

from flows.calls.taxpayer import FindTaxpayer, Taxpayer
from flows.dialog.calls import decode, encode
from flows.dialog.events import Result
from handlers.actions import Ask
from handlers.events import Answered
from handlers.ports import Alerts, Dead, Done, Item, Meter, Outcome, StoreDownError
from handlers.taxpayer.client import RegisterClient, RegisterError

ALERT: Final = "register_refuses"

log = structlog.get_logger()
_decode: Final = msgspec.json.Decoder(Ask).decode


class Taxpayers:
    """The handler of kind `taxpayer`."""

    def __init__(self, client: RegisterClient | None, *, alerts: Alerts, meter: Meter) -> None:
        """`client`: None if this platform asks no register: nothing is known then."""
        self._client = client
        self._alerts = alerts
        self._meter = meter

    @property
    def kind(self) -> str:
        return "taxpayer"

    async def serve(self, item: Item) -> Outcome:
        try:
            ask = _decode(item.body)
            call = decode(ask.args, FindTaxpayer)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        if ask.call != FindTaxpayer.__name__:
            return Dead("unknown_call")
        found = await self._find(ask, call)
        return Done(event=Answered(Result(seq=ask.seq, value=encode(found))))

    async def _find(self, ask: Ask, call: FindTaxpayer) -> Taxpayer | None:
        if self._client is None:
            return None
        try:
            found = await self._client.find(call.rut)
        except RegisterError as error:
            self._meter.count(self.kind, error.why)
            log.warning("taxpayer.nothing", why=error.why)
            if error.why == "key":
                await self._tell(ask)
            return None
        self._meter.count(self.kind, "found" if found else "unknown")
        return found

    async def _tell(self, ask: Ask) -> None:
        """Somebody has to mend the key; whoever signs up does not wait for it."""
        try:
            await self._alerts.raise_(ask.tenant, None, ALERT, "key")
        except StoreDownError:
            log.warning("taxpayer.alert_lost")
