"""Serves the lanes `chatwoot/<…>`: the people of a firm become contacts of its helpdesk, known by UGID."""

from collections.abc import Callable
from typing import Final

from handlers.chatwoot.client import ChatwootClient, Contact, InvalidError
from handlers.persons import (
    SystemKind,
    TellError,
    Telling,
    Then,
    Told,
    What,
)
from handlers.ports import Meter

PER_S: Final = (
    10  # of the 3,000 requests a minute that an address has by default; a telling is two to four
)
BURST: Final = 20


class Chatwoot:
    """How Chatwoot is told."""

    kind: SystemKind = "chatwoot"
    per_s = PER_S
    burst = BURST

    def __init__(self, client: ChatwootClient, *, meter: Meter) -> None:
        self._client = client
        self._meter = meter

    async def tell(self, telling: Telling, is_ours: Callable[[], bool]) -> Told:
        if telling.what is What.REMOVED:
            # What they wrote to the firm stays the firm's.
            return Told(telling.foreign_id, telling.fields)
        system = telling.system
        found = await self._client.find(system, "identifier", telling.ugid)
        if telling.what is What.ERASED:
            if found is not None:
                await self._client.delete(system, found.id, is_ours)
            return Told()
        fields = _fields(telling)
        try:
            return await self._put(telling, found, fields, is_ours)
        except InvalidError as first:
            if "email" in first.attributes:
                # Shared by people of a household; the phone is what counts.
                self._meter.count("tell_chatwoot", "without_email")
                del fields["email"]
            if "phone_number" in first.attributes:
                found = await self._holder(telling, found)
            try:
                return await self._put(telling, found, fields, is_ours)
            except InvalidError as second:
                raise TellError(_fault(second.attributes), Then.LATER) from None

    async def _put(
        self,
        telling: Telling,
        found: Contact | None,
        fields: dict[str, str | None],
        is_ours: Callable[[], bool],
    ) -> Told:
        if found is None:
            # What an agent calls them later stays; so it is said once.
            named = fields | ({"name": telling.name} if telling.name else {})
            found = await self._client.create(telling.system, named, is_ours)
        else:
            await self._client.update(telling.system, found.id, fields, is_ours)
        held = {"phone": fields.get("phone_number"), "email": fields.get("email")}
        return Told(str(found.id), frozenset(name for name, value in held.items() if value))

    async def _holder(self, telling: Telling, found: Contact | None) -> Contact:
        """Whoever has the phone there, if it is this person: they have proved it, and the contact is nobody else's yet."""
        holder = await self._client.find(telling.system, "phone_number", telling.phone)
        if holder is None:
            raise TellError("phone_refused", Then.NEVER)
        if holder.identifier == telling.ugid:
            return holder
        if holder.identifier:
            # It was another person's, who is told to let go of it in a lane of their own.
            raise TellError("phone_taken", Then.LATER)
        if found is not None:
            # Two contacts are one person: an agent has to merge them.
            raise TellError("phone_taken", Then.MEND)
        return holder


def _fields(telling: Telling) -> dict[str, str | None]:
    """None empties what we had told, and an agent's own word is left alone."""
    fields: dict[str, str | None] = {"identifier": telling.ugid}
    if telling.phone or "phone" in telling.fields:
        fields["phone_number"] = telling.phone or None
    if telling.email or "email" in telling.fields:
        fields["email"] = telling.email or None
    return fields


def _fault(attributes: frozenset[str]) -> str:
    for attribute, fault in (
        ("phone_number", "phone_taken"),
        ("email", "email_taken"),
        ("identifier", "identifier_taken"),
    ):
        if attribute in attributes:
            return fault
    return "status_422"
