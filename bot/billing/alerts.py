"""Alerts in their plainest form: a line in the log, the same one once."""

import hashlib
from typing import Final

import structlog

from bot.lanes import PREFIX, LaneError, StoreLostError, Wire
from bot.metrics import Metrics
from flows.values.ids import ChannelId, TenantId
from handlers.ports import StoreDownError

REMEMBERED_S: Final = 70 * 86_400

log = structlog.get_logger()


class LoggedAlerts:
    """Implements `handlers.ports.Alerts`."""

    def __init__(self, wire: Wire, *, metrics: Metrics) -> None:
        self._wire = wire
        self._metrics = metrics

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        """See the port."""
        what = hashlib.blake2b(f"{channel}|{kind}|{about}".encode(), digest_size=16).hexdigest()
        try:
            new = await self._wire.call(
                "SET", f"{PREFIX}alert:{tenant}:{what}", "", "NX", "EX", REMEMBERED_S
            )
        except (StoreLostError, LaneError) as error:
            raise StoreDownError("the alert may not be durable") from error
        if new is not None:
            self._metrics.count("alert", kind)
            log.warning("alert.raised", tenant=tenant, channel=channel, kind=kind, about=about)
