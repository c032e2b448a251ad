"""Serves the lanes `odoo/<…>`: the people of a firm become partners of its ERP.

A partner is known by an external id (`__smarterbot__.<UGID>`): Odoo keeps it unique, and creates or changes by it in one
step. Not by `ref`, which nothing keeps unique and where firms have their own customer codes.
"""

from collections.abc import Callable
from typing import Final

from flows.values.phone import display_phone
from handlers.odoo.client import OdooClient, RefusedError
from handlers.odoo.settings import COMPANY
from handlers.persons import (
    SystemKind,
    TellError,
    Telling,
    Then,
    Told,
    What,
)
from handlers.ports import Meter

PER_S: Final = 5  # an Odoo of one process does some 50 calls a second, for everybody
BURST: Final = 10
MODEL: Final = "res.partner"


class Odoo:
    """How Odoo is told."""

    kind: SystemKind = "odoo"
    per_s = PER_S
    burst = BURST

    def __init__(self, client: OdooClient, *, meter: Meter) -> None:
        self._client = client
        self._meter = meter

    async def tell(self, telling: Telling, is_ours: Callable[[], bool]) -> Told:
        match telling.what:
            case What.PERSON:
                try:
                    return await self._put(telling, is_ours)
                except RefusedError:
                    raise TellError("refused", Then.NEVER) from None
            case What.REMOVED:
                # What they bought from the firm stays the firm's.
                return Told(telling.foreign_id, telling.fields)
            case What.ERASED:
                await self._erase(telling, is_ours)
                return Told()

    async def _put(self, telling: Telling, is_ours: Callable[[], bool]) -> Told:
        values = _values(telling)
        told = frozenset(name for name, value in values.items() if value)
        context = _context(telling)
        if telling.foreign_id:
            # Without the name: what the firm calls them stays.
            partner = int(telling.foreign_id)
            try:
                if values:
                    await self._client.write(
                        telling.system, MODEL, partner, values, context, is_ours
                    )
            except RefusedError as error:
                if not error.missing:
                    raise
                # Somebody deleted it there; its external id went with it.
            else:
                return Told(telling.foreign_id, told)
        row = {"id": _external_id(telling), "name": _name(telling)}
        row |= {name: value if isinstance(value, str) else "" for name, value in values.items()}
        if company := telling.system.options.get(COMPANY):
            row["company_id/.id"] = company
        partner = await self._client.load(telling.system, MODEL, row, context, is_ours)
        return Told(str(partner), told)

    async def _erase(self, telling: Telling, is_ours: Callable[[], bool]) -> None:
        """Delete the partner, or leave of them what the documents of the firm need: the law keeps those.

        What they are called there is a part of their invoices; their phone and e-mail are not.
        """
        system, context = telling.system, _context(telling)
        try:
            # Without a name nothing is created: whoever is not there needs no erasing.
            row = {"id": _external_id(telling), "phone": "", "email": ""}
            partner = await self._client.load(system, MODEL, row, context, is_ours)
        except RefusedError:
            self._meter.count("tell_odoo", "not_there")
            return
        try:
            await self._client.unlink(system, MODEL, partner, context, is_ours)
        except RefusedError as error:
            if error.missing:
                return
            self._meter.count("tell_odoo", "kept_for_documents")
            try:
                await self._client.write(
                    system, MODEL, partner, {"active": False}, context, is_ours
                )
            except RefusedError:
                # A user of Odoo's own cannot be put away; the phone and the e-mail are gone.
                return


def _external_id(telling: Telling) -> str:
    return f"__smarterbot__.{telling.ugid}"


def _values(telling: Telling) -> dict[str, str | bool]:
    """False empties what we had told, and the firm's own word is left alone. `mobile` is gone from Odoo 19."""
    values: dict[str, str | bool] = {}
    if telling.phone or "phone" in telling.fields:
        values["phone"] = telling.phone or False
    if telling.email or "email" in telling.fields:
        values["email"] = telling.email or False
    return values


def _name(telling: Telling) -> str:
    """A partner must have one."""
    phone = telling.phone.removeprefix("+")
    return telling.name or (display_phone(phone) if phone else telling.email or telling.ugid)


def _context(telling: Telling) -> dict[str, object]:
    company = telling.system.options.get(COMPANY)
    # A partner that was put away is still found, and no e-mail goes out for what we write.
    context: dict[str, object] = {"active_test": False, "tracking_disable": True}
    return context | ({"allowed_company_ids": [int(company)]} if company else {})
