"""Serves the lanes `n8n/<…>`: a firm's automation hears of its people."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, assert_never
from uuid import UUID, uuid5

import msgspec

from handlers.n8n.client import N8nClient
from handlers.persons import SystemKind, Telling, Told, What

PER_S: Final = 10  # our choice: a workflow takes some 40 ms
BURST: Final = 50
_EVENTS: Final = UUID("a3a0e3b6-5d0e-4b9c-8a55-0d1d7f0f6c1e")

_encode: Final = msgspec.json.Encoder().encode


class N8n:
    """How n8n is told."""

    kind: SystemKind = "n8n"
    per_s = PER_S
    burst = BURST

    def __init__(self, client: N8nClient) -> None:
        self._client = client

    async def tell(self, telling: Telling, is_ours: Callable[[], bool]) -> Told:
        system = telling.system
        id = uuid5(_EVENTS, f"{system.tenant}|{telling.ugid}|{telling.number}")
        await self._client.post(
            system.address, system.secret, id=f"evt_{id.hex}", body=_event(telling), is_ours=is_ours
        )
        return Told(fields=_fields(telling))


def _event(telling: Telling) -> bytes:
    """What the README shows. No name: nothing is decided by it, and who needs it asks the desk or the ERP."""
    data: dict[str, object] = {"ugid": telling.ugid, "version": telling.number}
    match telling.what:
        case What.PERSON:
            type = "person.created" if telling.is_first else "person.updated"
            data |= {
                "role": telling.role,
                "since": _time(telling.since),
                "phone": telling.phone or None,
                "email": telling.email or None,
            }
        case What.REMOVED:
            type = "person.removed"
        case What.ERASED:
            type = "person.erased"
        case _:
            assert_never(telling.what)
    return _encode({"type": type, "timestamp": _time(telling.at), "data": data})


def _fields(telling: Telling) -> frozenset[str]:
    told = {"phone": telling.phone, "email": telling.email}
    return frozenset(name for name, value in told.items() if value)


def _time(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
