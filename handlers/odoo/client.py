"""Speaks to a firm's Odoo (16 to 21) over JSON-RPC.

Odoo answers 200 to nearly everything: what went wrong is in the body, by the name of an exception. Its texts may hold
addresses of servers and whole tracebacks, so none of them is kept. A method that answers None has no `result`.
Source: Odoo 17.0 and 19.0, measured; external_rpc_api.rst.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from handlers.odoo.settings import DATABASE, LOGIN
from handlers.outside import Outside, OutsideError
from handlers.persons import (
    WITHIN_S,
    System,
    TellError,
    Then,
    ours,
    read_answer,
    refused,
    unreached,
)

USERS_KEPT: Final = 4_096


class RefusedError(Exception):
    """Odoo understood it, and does not do it. `missing`: because there is no such record."""

    def __init__(self, *, missing: bool = False) -> None:
        super().__init__("missing" if missing else "refused")
        self.missing = missing


class _ErrorData(Struct, frozen=True):
    name: str = ""


class _Error(Struct, frozen=True):
    data: _ErrorData = _ErrorData()


class _Reply(Struct, frozen=True):
    result: object = None
    error: _Error | None = None


class OdooClient:
    """Any firm's Odoo. Every method raises TellError."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._users: dict[bytes, int] = {}
        """uid by a digest of where, who and with which key: asking costs Odoo half a second."""

    async def load(
        self,
        system: System,
        model: str,
        row: Mapping[str, str],
        context: Mapping[str, object],
        is_ours: Callable[[], bool],
    ) -> int:
        """Create the record of an external id (`id` in the row), or change it: one step, which no second one doubles.

        Raises:
            RefusedError: a value does not fit, or one that is needed is missing.
        """
        args = [list(row), [list(row.values())]]
        answer = await self._execute(system, model, "load", args, context, is_ours)
        ids = answer.get("ids") if isinstance(answer, dict) else None
        if isinstance(ids, list) and len(ids) == 1 and isinstance(ids[0], int):
            return ids[0]
        # `ids` is false, and `messages` say why, in the user's language.
        raise RefusedError

    async def write(
        self,
        system: System,
        model: str,
        record: int,
        values: Mapping[str, object],
        context: Mapping[str, object],
        is_ours: Callable[[], bool],
    ) -> None:
        """
        Raises:
            RefusedError: see there.
        """
        await self._execute(system, model, "write", [[record], dict(values)], context, is_ours)

    async def unlink(
        self,
        system: System,
        model: str,
        record: int,
        context: Mapping[str, object],
        is_ours: Callable[[], bool],
    ) -> None:
        """
        Raises:
            RefusedError: other documents need it, or it is not there.
        """
        await self._execute(system, model, "unlink", [[record]], context, is_ours)

    async def _execute(
        self,
        system: System,
        model: str,
        method: str,
        args: Sequence[object],
        context: Mapping[str, object],
        is_ours: Callable[[], bool],
    ) -> object:
        database, key = system.options.get(DATABASE, ""), system.secret
        uid = await self._user(system)
        ours(is_ours)
        try:
            return await self._call(
                system,
                "object",
                "execute_kw",
                [database, uid, key, model, method, args, {"context": dict(context)}],
            )
        except TellError as error:
            if error.fault == "access_denied":
                # The key was changed, or ended: Odoo 19 ends them after 90 days.
                self._users.pop(_digest(system), None)
            raise

    async def _user(self, system: System) -> int:
        digest = _digest(system)
        if (known := self._users.get(digest)) is not None:
            return known
        database, login = system.options.get(DATABASE, ""), system.options.get(LOGIN, "")
        uid = await self._call(
            system, "common", "authenticate", [database, login, system.secret, {}]
        )
        if not isinstance(uid, int) or isinstance(uid, bool):
            # False, and no fault.
            raise TellError("access_denied", Then.MEND)
        if len(self._users) >= USERS_KEPT:
            self._users.clear()
        self._users[digest] = uid
        return uid

    async def _call(
        self, system: System, service: str, method: str, args: Sequence[object]
    ) -> object:
        body = {
            "jsonrpc": "2.0",
            "method": "call",
            "id": 1,
            "params": {"service": service, "method": method, "args": list(args)},
        }
        try:
            async with self._outside.request(
                "POST",
                f"{system.address}/jsonrpc",
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                data=msgspec.json.encode(body),
                within_s=WITHIN_S,
            ) as response:
                status, answer = response.status, await read_answer(response)
                told = response.headers
        except OutsideError as error:
            raise unreached(error) from None
        if status != 200:
            raise refused(status, told, otherwise=Then.MEND)
        try:
            reply = msgspec.json.decode(answer, type=_Reply)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # A page, from whatever stands before Odoo.
            raise TellError("unreadable", Then.LATER) from None
        if reply.error is not None:
            raise _fault(reply.error.data.name)
        return reply.result


def _fault(name: str) -> Exception:
    """What follows from an exception of Odoo's, by its name."""
    if name.startswith("psycopg2.errors.") and "Violation" in name:
        return RefusedError()
    if name.startswith("psycopg2."):
        # Also a database of another name.
        return TellError("database", Then.LATER)
    match name:
        case "odoo.exceptions.AccessDenied":
            return TellError("access_denied", Then.MEND)
        case "odoo.exceptions.AccessError":
            return TellError("access_error", Then.MEND)
        case "odoo.exceptions.MissingError":
            return RefusedError(missing=True)
        case (
            "odoo.exceptions.ValidationError"
            | "odoo.exceptions.UserError"
            | "odoo.exceptions.RedirectWarning"
        ):
            return RefusedError()
        case _:
            return TellError("odoo_error", Then.NEVER)


def _digest(system: System) -> bytes:
    parts = (
        system.address,
        system.options.get(DATABASE, ""),
        system.options.get(LOGIN, ""),
        system.secret,
    )
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
