"""`smarterbot form`: the forms (WhatsApp Flows) that our endpoint answers, checked and uploaded."""

from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from bot.cli.meta import meta_of
from bot.cli.output import AsJson, DryRun, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.people.channels import find_channel
from bot.settings import from_environment
from flows.catalogue import LOCALES, product_book
from flows.values.ids import ChannelId
from handlers.whatsapp.form_api import CATEGORIES
from handlers.whatsapp.form_json import problems
from handlers.whatsapp.forms import PATH

app = typer.Typer(help="Forms that people fill in within WhatsApp.", no_args_is_help=True)

DEFAULT_LOCALE: Final = "es_CL"


class FormRefusedError(Exception):
    """Meta does not take the form as it is; each line says why."""


def form_file(name: str, locale: str) -> Path:
    """The JSON of a form in one language."""
    return LOCALES / locale / "forms" / f"{name}.json"


@app.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """The forms of this version, and what is wrong with their files. Needs no store."""
    found = [
        (file.stem, file.parents[1].name, problems(file.read_bytes()))
        for file in sorted(LOCALES.glob("*/forms/*.json"))
    ]
    if as_json:
        print_json([{"name": n, "locale": where, "problems": p} for n, where, p in found])
        return
    print_table(
        ["name", "language", "state"],
        [(name, locale, "; ".join(wrong) or "good") for name, locale, wrong in found],
        empty="there is no form",
    )


@app.command("push")
def push(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As `smarterbot form list` shows it.")
    ],
    *,
    channel: Annotated[UUID, typer.Option(help="A number of the account that gets the form.")],
    locale: Annotated[str, typer.Option(help="Language of its words.")] = DEFAULT_LOCALE,
    category: Annotated[str, typer.Option(help=f"One of {', '.join(CATEGORIES)}.")] = "SIGN_UP",
    publish: Annotated[
        bool, typer.Option("--publish", help="Make it usable for everybody, not only for testers.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Upload a form to Meta: made if it is not there, changed if it is. Its screens are asked for at PUBLIC_URL."""
    file = form_file(name, locale)
    endpoint = from_environment().address + PATH.format(channel=channel)
    _check(name, file, category, endpoint, publish=publish)
    if dry_run:
        _tell({"name": name, "dry_run": True}, f"{name} can be uploaded", as_json=as_json)
        return

    async def work(session: Session) -> str:
        sealed = await find_channel(session.database, ChannelId(str(channel)))
        if not sealed.form_key:
            raise FieldError(f"--channel: it has no key yet: smarterbot channel form-key {channel}")
        async with meta_of(session, sealed) as meta:
            known = await meta.find(sealed.channel.waba_id, name)
            id = known.id if known else await meta.create(sealed.channel.waba_id, name, [category])
            wrong = await meta.upload(id, file.read_bytes())
            if wrong:
                lines = [f"line {each.line_start}: {each.message}" for each in wrong]
                raise FormRefusedError("\n".join(("Meta finds fault with the form:", *lines)))
            await meta.point(id, endpoint)
            if publish:
                await meta.publish(id)
        return id

    id = in_session(work)
    state = "published" if publish else "a draft; --publish makes it usable for everybody"
    _tell(
        {"name": name, "id": id, "endpoint": endpoint, "published": publish},
        f"{name} is uploaded ({id}): {state}",
        as_json=as_json,
    )


def _check(name: str, file: Path, category: str, endpoint: str, *, publish: bool) -> None:
    if name not in product_book().forms or not file.exists():
        raise FieldError(f"NAME: there is no form {name} in this language: smarterbot form list")
    if category not in CATEGORIES:
        raise FieldError(f"--category: one of {', '.join(CATEGORIES)}")
    if wrong := problems(file.read_bytes()):
        raise FormRefusedError("\n".join((f"{file.name}:", *wrong)))
    local = endpoint.startswith(("http://127.0.0.1", "http://localhost"))
    if publish and not endpoint.startswith("https://") and not local:
        raise FieldError("PUBLIC_URL: Meta asks for a form's screens over https:// only")


def _tell(facts: dict[str, object], line: str, *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        print_line(line)
