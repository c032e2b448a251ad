"""`smarterbot identity`: people, their sessions, and the keys of access tokens."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from bot.cli.identity_sync import sync
from bot.cli.output import (
    AsJson,
    DryRun,
    FieldError,
    print_facts,
    print_json,
    print_line,
    print_table,
)
from bot.cli.session import Session, in_session
from bot.identity import people
from bot.identity.keys import SigningKey, read_keys, rotate
from bot.identity.people import Person, Role
from bot.identity.sessions import SessionView, list_sessions
from bot.people.errors import UnknownError
from bot.people.tenants import get_tenant
from bot.store.database import Connection
from flows.values.ids import TenantId, Ugid
from flows.values.phone import parse_phone

app = typer.Typer(
    help="People: who they are, their sessions, the keys of their tokens.", no_args_is_help=True
)
keys_app = typer.Typer(help="Keys that sign access tokens.", no_args_is_help=True)
person_app = typer.Typer(help="One person.", no_args_is_help=True)
sessions_app = typer.Typer(help="Sessions of a person.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(person_app, name="person")
app.add_typer(sessions_app, name="sessions")
app.command("sync")(sync)

PersonArgument = Annotated[UUID, typer.Argument(metavar="UGID", help="Id of the person.")]


@keys_app.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """The keys. Their private halves are never shown."""

    async def work(session: Session) -> list[SigningKey]:
        return await read_keys(session.database, session.box)

    found = sorted(in_session(work), key=lambda key: key.signs_from)
    if as_json:
        print_json(
            [
                {"kid": key.kid, "signs_from": key.signs_from, "shown_until": key.shown_until}
                for key in found
            ]
        )
        return
    print_table(
        ["id", "signs from", "shown until"],
        [(key.kid, _time(key.signs_from), _time(key.shown_until)) for key in found],
        empty="no keys yet: the server makes the first one when it starts",
    )


@keys_app.command("rotate")
def rotate_keys(
    *,
    at_once: Annotated[
        bool,
        typer.Option(
            "--at-once",
            help="The old keys count no more: somebody may have them. All must refresh.",
        ),
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a new key. It signs once everybody can have it; nobody is logged out. Also done by itself every 30 days."""

    async def work(session: Session) -> str | None:
        if dry_run:
            await read_keys(session.database, session.box)
            return None
        return await rotate(session.database, session.box, now=datetime.now(UTC), at_once=at_once)

    kid = in_session(work)
    if as_json:
        print_json({"kid": kid, "at_once": at_once, "dry_run": dry_run})
    else:
        print_line("a new key can be made" if kid is None else f"made the key {kid}")


@person_app.command("show")
def show_person(
    ugid: Annotated[UUID | None, typer.Argument(metavar="UGID", help="Id of the person.")] = None,
    *,
    phone: Annotated[str, typer.Option(help="Or their phone, as +56 9 6123 4567.")] = "",
    as_json: AsJson = False,
) -> None:
    """What the platform knows of a person. It is personal data: it goes to the terminal and to no log."""
    number = parse_phone(phone) if phone else None
    if phone and number is None:
        raise FieldError("--phone: is no telephone number")
    if (ugid is None) == (number is None):
        raise FieldError("name the person by UGID or by --phone")

    async def work(session: Session) -> tuple[Person, tuple[SessionView, ...]]:
        async with session.database.system() as connection:
            found = Ugid(str(ugid)) if ugid is not None else None
            if number is not None:
                found = await people.person_of(connection, "phone", "", number)
            person = None if found is None else await people.get_person(connection, found)
            if person is None:
                raise UnknownError("there is no such person")
            return person, await list_sessions(connection, person.ugid, at=datetime.now(UTC))

    person, sessions = in_session(work)
    if as_json:
        print_json({"person": person, "sessions": sessions})
        return
    print_facts(
        {
            "ugid": person.ugid,
            "since": _time(person.created_at),
            "last login": _time(person.last_login_at),
            "disabled": _time(person.disabled_at),
            "erased": _time(person.erased_at),
        }
    )
    print_table(
        ["kind", "scope", "value", "verified", "until"],
        [
            (one.kind, one.scope, one.value, _time(one.verified_at), _time(one.valid_to))
            for one in person.identities
        ],
        empty="known by nothing",
    )
    print_table(
        ["tenant", "role", "since"],
        [(one.tenant, one.role, _time(one.since)) for one in person.memberships],
        empty="belongs to no firm",
    )
    print_table(
        ["session", "tenant", "used", "agent"],
        [(one.id, one.tenant or "", _time(one.refreshed_at), one.agent) for one in sessions],
        empty="no open session",
    )


@person_app.command("role")
def set_role(
    ugid: PersonArgument,
    *,
    tenant: Annotated[UUID, typer.Option(help="Id of the firm.")],
    role: Annotated[str, typer.Option(help="owner, admin, agent, customer; none ends it.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """What a person may do for a firm; it stands in their next access token."""
    roles: dict[str, Role | None] = {
        "owner": "owner", "admin": "admin", "agent": "agent", "customer": "customer", "none": None,
    }  # fmt: skip
    if role not in roles:
        raise FieldError("--role: owner, admin, agent, customer or none is expected")
    firm, person = TenantId(str(tenant)), Ugid(str(ugid))

    async def work(session: Session) -> None:
        await get_tenant(session.database, firm)
        async with session.database.system() as connection:
            await _known(connection, person)
            if not dry_run:
                await people.set_role(connection, person, firm, roles[role], datetime.now(UTC))

    in_session(work)
    if as_json:
        print_json({"ugid": person, "tenant": firm, "role": roles[role], "dry_run": dry_run})
    else:
        print_line("the role can be given" if dry_run else "the role was given")


@person_app.command("disable")
def disable(
    ugid: PersonArgument,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep a person from logging in, and end their sessions."""
    person = Ugid(str(ugid))

    async def work(session: Session) -> None:
        async with session.database.system() as connection:
            if not await people.disable(connection, person, None if undo else datetime.now(UTC)):
                raise UnknownError("nobody with this id has ever logged in")

    in_session(work)
    if as_json:
        print_json({"ugid": person, "disabled": not undo})
    else:
        print_line("they may log in again" if undo else "they are logged out, and stay out")


@person_app.command("erase")
def erase(
    ugid: PersonArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Forget who a person is: all but their id goes here, and the firms' systems are told to do the same.

    What a firm's conversations hold is not touched. Whether every system has done it: smarterbot identity sync --check.
    """
    person = Ugid(str(ugid))
    if not (yes or dry_run):
        raise FieldError("--yes: is needed, for it cannot be undone")

    async def work(session: Session) -> None:
        async with session.database.system() as connection:
            known = await people.get_person(connection, person)
            if known is None:
                raise UnknownError("there is no such person")
            if known.erased_at is not None:
                raise UnknownError("the person was erased before")
            if not dry_run:
                await people.erase(connection, person, datetime.now(UTC))

    in_session(work)
    if as_json:
        print_json({"ugid": person, "dry_run": dry_run})
    else:
        print_line("the person can be erased" if dry_run else "the person was erased")


@sessions_app.command("revoke")
def revoke(
    ugid: PersonArgument,
    *,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """End all sessions of a person. Access tokens that are out count for ten minutes more."""
    person = Ugid(str(ugid))

    async def work(session: Session) -> int:
        now = datetime.now(UTC)
        async with session.database.system() as connection:
            await _known(connection, person)
            if dry_run:
                return len(await list_sessions(connection, person, at=now))
            return await people.end_sessions(connection, person, "operator", now)

    ended = in_session(work)
    if as_json:
        print_json({"ugid": person, "ended": ended, "dry_run": dry_run})
    else:
        print_line(f"{ended} sessions {'would end' if dry_run else 'were ended'}")


async def _known(connection: Connection, ugid: Ugid) -> None:
    if await people.get_person(connection, ugid) is None:
        raise UnknownError("there is no such person")


def _time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="seconds")
