"""`smarterbot key`: what a firm's own system shows to send in its name."""

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import typer

from bot.cli.output import AsJson, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.people.api_keys import (
    SCOPES,
    KeyRow,
    NewKey,
    Scope,
    add_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from flows.values.ids import KeyId, TenantId

app = typer.Typer(help="API keys of the firms.", no_args_is_help=True)

PER_MINUTE: Final = 600
PER_MINUTE_MAX: Final = 60_000
OVERLAP_HOURS: Final = 24
OVERLAP_HOURS_MAX: Final = 24 * 90
NAME_MAX: Final = 60

TenantOption = Annotated[UUID, typer.Option(help="Id of the tenant.")]
KeyArgument = Annotated[UUID, typer.Argument(metavar="KEY", help="Id of the key.")]


@app.command("create")
def create(
    *,
    tenant: TenantOption,
    name: Annotated[str, typer.Option(help="Whose it is, e.g. the system that sends.")],
    scope: Annotated[
        list[str], typer.Option(help=f"What it may do, again for each: {', '.join(SCOPES)}.")
    ],
    per_minute: Annotated[
        int, typer.Option(min=1, max=PER_MINUTE_MAX, help="Requests a minute.")
    ] = PER_MINUTE,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown now and never again."""
    called, scopes = _named(name), _scoped(scope)

    async def work(session: Session) -> NewKey:
        new = await add_key(
            session.database,
            TenantId(str(tenant)),
            name=called,
            scopes=scopes,
            per_minute=per_minute,
        )
        await session.publish()
        return new

    _show(in_session(work), as_json=as_json)


@app.command("list")
def list_all(*, tenant: TenantOption, as_json: AsJson = False) -> None:
    """The keys of a firm, without what opens anything."""

    async def work(session: Session) -> list[KeyRow]:
        return await list_keys(session.database, TenantId(str(tenant)))

    rows = in_session(work)
    if as_json:
        print_json(rows)
    else:
        print_table(
            ["id", "name", "scopes", "a minute", "since", "until"],
            [
                (
                    *(row.id, row.name, " ".join(row.scopes), str(row.per_minute)),
                    *(f"{row.created_at:%Y-%m-%d}", _until(row)),
                )
                for row in rows
            ],
            empty="no keys yet: smarterbot key create --tenant … --name … --scope messages:send",
        )


@app.command("revoke")
def revoke(key: KeyArgument, *, tenant: TenantOption, as_json: AsJson = False) -> None:
    """Let a key open nothing any more, from now on."""

    async def work(session: Session) -> None:
        await revoke_key(session.database, TenantId(str(tenant)), KeyId(str(key)))
        await session.publish()

    in_session(work)
    if as_json:
        print_json({"id": str(key), "revoked": True})
    else:
        print_line(f"revoked {key}; running servers know within two seconds")


@app.command("rotate")
def rotate(
    key: KeyArgument,
    *,
    tenant: TenantOption,
    overlap_hours: Annotated[
        int,
        typer.Option(min=0, max=OVERLAP_HOURS_MAX, help="For how long the old key still opens."),
    ] = OVERLAP_HOURS,
    as_json: AsJson = False,
) -> None:
    """Make a successor of a key. It is shown now and never again."""

    async def work(session: Session) -> NewKey:
        new = await rotate_key(
            session.database,
            TenantId(str(tenant)),
            KeyId(str(key)),
            overlap=timedelta(hours=overlap_hours),
        )
        await session.publish()
        return new

    _show(in_session(work), as_json=as_json)


def _show(new: NewKey, *, as_json: bool) -> None:
    if as_json:
        print_json(new)
    else:
        print_line(f"{new.key}\nThis is key {new.id}. Keep it safe: it is not shown again.")


def _named(name: str) -> str:
    clean = " ".join(name.split())
    if not 0 < len(clean) <= NAME_MAX:
        raise FieldError(f"--name: 1 to {NAME_MAX} characters are expected")
    return clean


def _scoped(given: list[str]) -> tuple[Scope, ...]:
    if wrong := [scope for scope in given if scope not in SCOPES]:
        raise FieldError(f"--scope: {wrong[0]} is none; there are {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in given)


def _until(row: KeyRow) -> str:
    def day(at: datetime) -> str:
        return f"{at:%Y-%m-%d %H:%M}"

    if row.revoked_at is not None:
        return f"revoked {day(row.revoked_at)}"
    return "" if row.expires_at is None else day(row.expires_at)
