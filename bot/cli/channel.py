"""`smarterbot channel`: the firms' WhatsApp numbers."""

import sys
from typing import Annotated
from uuid import UUID, uuid4

import typer

from bot.cli.meta import meta_of
from bot.cli.output import AsJson, DryRun, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.identity.keys import reseal_keys
from bot.identity.people import role_in
from bot.onboarding.connect import MAY_CONNECT, ConnectTickets
from bot.people.channels import (
    Mark,
    SealedChannel,
    add_channel,
    find_channel,
    list_channels,
    mark_channel,
    mark_of,
    reseal_secrets,
    set_throughput,
    set_token,
)
from bot.people.form_keys import FormKeyChange, settle_form_key
from bot.people.health import free_channel
from bot.people.registrations import reseal_pin
from bot.people.systems import reseal_systems
from bot.people.tenants import get_tenant
from bot.settings import whatsapp_token
from flows.values.ids import ChannelId, TenantId, Ugid
from handlers.ports import THROUGHPUT, THROUGHPUT_MAX, Channel

app = typer.Typer(help="WhatsApp numbers of the firms.", no_args_is_help=True)

ChannelArgument = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the channel.")]
THROUGHPUT_OPTION = typer.Option(
    help=f"Messages a second that Meta lets the number send: {THROUGHPUT}, up to {THROUGHPUT_MAX:,} after an upgrade."
)
Throughput = Annotated[int, THROUGHPUT_OPTION]


@app.command("add")
def add(
    *,
    tenant: Annotated[UUID, typer.Option(help="Id of the tenant.")],
    phone_number_id: Annotated[str, typer.Option(help="Meta's id of the number.")],
    waba_id: Annotated[str, typer.Option(help="Id of its WhatsApp Business Account.")],
    display_phone: Annotated[str, typer.Option(help="The number as people read it.")],
    portfolio_id: Annotated[
        str, typer.Option(help="Id of the Meta business portfolio, if known.")
    ] = "",
    platform: Annotated[
        bool, typer.Option("--platform", help="The platform's own number: login and onboarding.")
    ] = False,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help="The number on which any firm's bot is tried out; not the platform's."
        ),
    ] = False,
    throughput: Throughput = THROUGHPUT,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Register a number. Its Graph token is taken from WHATSAPP_TOKEN or standard input, never from an argument."""
    channel = Channel(
        id=ChannelId(str(uuid4())),
        tenant=TenantId(str(tenant)),
        phone_number_id=phone_number_id,
        waba_id=waba_id,
        display_phone=display_phone.strip(),
        portfolio_id=portfolio_id,
        platform=platform,
        demo=demo,
        throughput=throughput,
    )
    _check(channel)
    token = _read_token()

    async def work(session: Session) -> None:
        await get_tenant(session.database, channel.tenant)
        if not dry_run:
            await add_channel(session.database, session.box, channel, token=token)
            await session.publish()

    in_session(work)
    if as_json:
        print_json({"id": channel.id, "token": bool(token), "dry_run": dry_run})
        return
    print_line(
        "the number can be registered" if dry_run else f"registered the number: {channel.id}"
    )
    if not token:
        print_line(f"it cannot send yet: smarterbot channel token {channel.id}")


@app.command("link")
def link(
    *,
    tenant: Annotated[UUID, typer.Option(help="Id of the tenant.")],
    person: Annotated[UUID, typer.Option(help="UGID of its owner or administrator.")],
    as_json: AsJson = False,
) -> None:
    """A link to the page on which this person connects a number of the firm: good for 24 hours, and for one number."""
    firm, ugid = TenantId(str(tenant)), Ugid(str(person))

    async def work(session: Session) -> str:
        settings = session.settings
        await get_tenant(session.database, firm)
        async with session.database.system() as connection:
            role = await role_in(connection, ugid, firm)
        if role not in MAY_CONNECT:
            raise FieldError("--person: is neither owner nor administrator of this tenant")
        return ConnectTickets(
            session.box, address=settings.address, able=bool(settings.meta_config_id), clock=Clock()
        ).connect_link(firm, ugid)

    made = in_session(work)
    if not made:
        raise FieldError("META_APP_ID, META_CONFIG_ID: are not set: this platform cannot")
    if as_json:
        print_json({"link": made})
    else:
        print_line(made)


@app.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """All numbers. Tokens and keys are never shown."""

    async def work(session: Session) -> list[SealedChannel]:
        return await list_channels(session.database)

    found = in_session(work)
    if as_json:
        print_json(
            [
                {
                    "channel": each.channel,
                    "token": bool(each.token),
                    "form_key": bool(each.form_key),
                }
                for each in found
            ]
        )
        return
    print_table(
        ["id", "tenant", "number", "for", "phone_number_id", "per second", "token", "form key"],
        [
            (
                sealed.channel.id,
                sealed.channel.tenant,
                sealed.channel.display_phone,
                mark_of(sealed.channel),
                sealed.channel.phone_number_id,
                f"{sealed.channel.throughput}",
                "yes" if sealed.token else "no",
                "yes" if sealed.form_key else "no",
            )
            for sealed in found
        ],
        empty="no channels yet: smarterbot channel add --tenant …",
    )


@app.command("token")
def token(
    channel: ChannelArgument,
    *,
    as_json: AsJson = False,
) -> None:
    """Replace a number's Graph token, taken from WHATSAPP_TOKEN or standard input."""
    new = _read_token()
    if not new:
        raise FieldError("WHATSAPP_TOKEN: is not set, and nothing came on standard input")

    async def work(session: Session) -> None:
        found = (await find_channel(session.database, ChannelId(str(channel)))).channel
        await set_token(session.database, session.box, found.id, new, tenant=found.tenant)
        await free_channel(session.database, found, "token", "permission", at=Clock().now_ms())
        await session.publish()

    in_session(work)
    if as_json:
        print_json({"id": str(channel), "token": True})
    else:
        print_line("the token was replaced")


@app.command("form-key")
def form_key(
    channel: ChannelArgument,
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new key, though there is one.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give a number the key that its forms are encrypted for: the private half is sealed here, the public one is Meta's.

    Without --rotate a key that is there is given to Meta again, as is needed after a number was registered anew.
    """

    async def work(session: Session) -> FormKeyChange | None:
        sealed = await find_channel(session.database, ChannelId(str(channel)))
        if dry_run:
            return None
        async with meta_of(session, sealed) as meta:
            number = sealed.channel.phone_number_id
            return await settle_form_key(
                session.database,
                session.box,
                sealed,
                rotate=rotate,
                give=lambda public: meta.put_key(number, public),
                publish=session.publish,
            )

    change = in_session(work)
    if as_json:
        made = change is not None and change.is_new
        public = change.public_pem if change else ""
        print_json({"id": str(channel), "new": made, "public_key": public, "dry_run": dry_run})
    elif change is None:
        print_line("the number can get a key")
    else:
        print_line(
            "Meta has the number's new key" if change.is_new else "Meta has the number's key again"
        )


@app.command("set")
def set_channel(
    channel: ChannelArgument,
    *,
    throughput: Annotated[int | None, THROUGHPUT_OPTION] = None,
    mark: Annotated[
        Mark | None,
        typer.Option(
            "--for", help="Whose conversations it has: a firm's own, the platform's, or demos."
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Say how fast a number may send, or what it is for. Running servers go by it within seconds."""
    if throughput is None and mark is None:
        raise FieldError("--throughput, --for: say what to change")
    if throughput is not None:
        _refuse(_throughput_problems(throughput))

    async def work(session: Session) -> None:
        found = (await find_channel(session.database, ChannelId(str(channel)))).channel
        if dry_run:
            return
        if throughput is not None:
            await set_throughput(session.database, found.id, throughput, tenant=found.tenant)
        if mark is not None:
            await mark_channel(session.database, found.id, mark, tenant=found.tenant)
        await session.publish()

    in_session(work)
    if as_json:
        told = {"throughput": throughput, "for": mark}
        changed = {key: value for key, value in told.items() if value is not None}
        print_json({"id": str(channel), **changed, "dry_run": dry_run})
        return
    if throughput is not None:
        print_line(
            f"the number {'can be set to' if dry_run else 'now sends'} {throughput} a second"
        )
    if mark is not None:
        print_line(f"the number {'can be' if dry_run else 'is now'} for: {mark}")


@app.command("reseal")
def reseal(*, as_json: AsJson = False) -> None:
    """Seal every token, PIN, form key, signing key and secret of a system with the first key of SMARTERBOT_KEYS; after it the others may go."""

    async def work(session: Session) -> int:
        changed = await reseal_secrets(session.database, session.box)
        changed += await reseal_keys(session.database, session.box)
        changed += await reseal_systems(session.database, session.box)
        for sealed in await list_channels(session.database):
            changed += await reseal_pin(session.database, session.box, sealed.channel)
        await session.publish()
        return changed

    changed = in_session(work)
    if as_json:
        print_json({"resealed": changed})
    else:
        print_line(f"{changed} secrets were sealed anew")


def _check(channel: Channel) -> None:
    ids = {
        "--phone-number-id": channel.phone_number_id,
        "--waba-id": channel.waba_id,
        "--portfolio-id": channel.portfolio_id or "0",
    }
    problems = [
        f"{name}: digits are expected, as Meta's pages show them"
        for name, value in ids.items()
        if not (value.isascii() and value.isdigit())
    ]
    if not channel.display_phone:
        problems.append("--display-phone: is empty")
    if channel.platform and channel.demo:
        problems.append("--demo: the platform's own number cannot be the one for demos")
    _refuse([*problems, *_throughput_problems(channel.throughput)])


def _throughput_problems(throughput: int) -> list[str]:
    if 1 <= throughput <= THROUGHPUT_MAX:
        return []
    return [f"--throughput: from 1 to {THROUGHPUT_MAX:,} messages a second are expected"]


def _refuse(problems: list[str]) -> None:
    if problems:
        raise FieldError("\n".join(problems))


def _read_token() -> str:
    if token := whatsapp_token():
        return token
    if sys.stdin.isatty():
        answer: str = typer.prompt("Graph token", default="", hide_input=True, show_default=False)
        return answer.strip()
    return sys.stdin.read().strip()
