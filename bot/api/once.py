"""One request, done once: what an `Idempotency-Key` stands for, kept in the store."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

from bot.api.problems import ApiError, FieldProblem
from bot.lanes import PREFIX, Wire
from flows.values.ids import TenantId

HEADER: Final = "Idempotency-Key"
KEPT_S: Final = 24 * 3600
"""Within a day the same key means the same request. The marks of the lanes live longer."""
KEY_MAX: Final = 255
ACCEPTED_KEPT_S: Final = 8 * 86_400


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request is known by, now and each time that it is repeated."""

    id: UUID
    at: int
    """When it was first made, ms since the epoch."""


class Once:
    """Remembers requests for all processes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def claim(
        self, tenant: TenantId, key: str, path: str, body: bytes, *, id: UUID, at: int
    ) -> Claim:
        """The claim of the first request with this key: ours, with `id` and `at`, if there was none.

        Args:
            key: what the caller chose, one for each thing to be done.
            path, body: what is asked for; the body in one spelling.

        Raises:
            ApiError: the key was used for something else.
            StoreLostError, LaneError: of `bot.lanes`; it may be repeated.
        """
        digest = hashlib.blake2b(b"\0".join((path.encode(), body)), digest_size=16).hexdigest()
        place = hashlib.blake2b(f"{tenant}|{key}".encode(), digest_size=16).hexdigest()
        ours = f"{digest} {id} {at}"
        reply = await self._wire.call(
            *("SET", f"{PREFIX}once:{place}", ours, "NX", "GET", "EX", KEPT_S), replicated=True
        )
        if reply is None:
            return Claim(id, at)
        assert isinstance(reply, bytes)
        before, claimed, since = reply.decode().split(" ")
        if before != digest:
            raise ApiError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "key_reused",
                "This Idempotency-Key was used for another request within the last 24 hours.",
                FieldProblem("Choose a new one for each thing to be done.", header=HEADER),
            )
        return Claim(UUID(claimed), int(since))

    async def note(self, message: UUID, tenant: TenantId) -> None:
        """Remember that a message was accepted, until the journal tells of it.

        Raises: as `claim`.
        """
        await self._wire.call("SET", f"{PREFIX}accepted:{message}", tenant, "EX", ACCEPTED_KEPT_S)

    async def was_accepted(self, message: UUID, tenant: TenantId) -> bool:
        """Whether the tenant's message was noted.

        Raises: as `claim`.
        """
        return await self._wire.call("GET", f"{PREFIX}accepted:{message}") == tenant.encode()
