"""`smarterbot form`: the forms (WhatsApp Flows) that our endpoint answers, checked and uploaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from bot.cli.meta import meta_of
from bot.cli.output import AsJson, DryRun, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.people.channels import find_channel
from bot.settings import from_environment
from flows.catalogue import LOCALES, product_book
from flows.values.ids import ChannelId
from handlers.whatsapp.form_api import CATEGORIES, FormApi, name_at_meta
from handlers.whatsapp.form_json import problems
from handlers.whatsapp.forms import PATH

app = typer.Typer(help="Forms that people fill in within WhatsApp.", no_args_is_help=True)


class FormRefusedError(Exception):
    """Meta does not take the form as it is; each line says why."""


def form_files(name: str, locale: str | None = None) -> dict[str, Path]:
    """The JSON of a form, by language; in one of them, or in all that there are."""
    return {
        file.parents[1].name: file
        for file in sorted(LOCALES.glob("*/forms/*.json"))
        if file.stem == name and locale in (None, file.parents[1].name)
    }


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
    locale: Annotated[
        str | None, typer.Option(help="One language; without it all that there are.")
    ] = None,
    category: Annotated[str, typer.Option(help=f"One of {', '.join(CATEGORIES)}.")] = "SIGN_UP",
    publish: Annotated[
        bool, typer.Option("--publish", help="Make it usable for everybody, not only for testers.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Upload a form to Meta: made if it is not there, changed if it is. Its screens are asked for at PUBLIC_URL."""
    forms = {
        name_at_meta(name, each): file.read_bytes()
        for each, file in form_files(name, locale).items()
    }
    endpoint = from_environment().address + PATH.format(channel=channel)
    _check(name, forms, category, endpoint, publish=publish)
    if dry_run:
        told = [{"name": each, "dry_run": True} for each in forms]
        _tell(told, [f"{each} can be uploaded" for each in forms], as_json=as_json)
        return

    async def work(session: Session) -> list[str]:
        sealed = await find_channel(session.database, ChannelId(str(channel)))
        if not sealed.form_key:
            raise FieldError(f"--channel: it has no key yet: smarterbot channel form-key {channel}")
        async with meta_of(session, sealed) as meta:
            waba = sealed.channel.waba_id
            return [
                await _upload(meta, waba, called, form, category, endpoint, publish=publish)
                for called, form in forms.items()
            ]

    ids = dict(zip(forms, in_session(work), strict=True))
    state = "published" if publish else "a draft; --publish makes it usable for everybody"
    _tell(
        [
            {"name": each, "id": id, "endpoint": endpoint, "published": publish}
            for each, id in ids.items()
        ],
        [f"{each} is uploaded ({id}): {state}" for each, id in ids.items()],
        as_json=as_json,
    )


async def _upload(
    meta: FormApi, waba: str, name: str, form: bytes, category: str, endpoint: str, *, publish: bool
) -> str:
    """Meta's id of the form."""
    known = await meta.find(waba, name)
    id = known.id if known else await meta.create(waba, name, [category])
    if wrong := await meta.upload(id, form):
        lines = [f"line {each.line_start}: {each.message}" for each in wrong]
        raise FormRefusedError("\n".join((f"Meta finds fault with {name}:", *lines)))
    await meta.point(id, endpoint)
    if publish:
        await meta.publish(id)
    return id


def _check(
    name: str, forms: Mapping[str, bytes], category: str, endpoint: str, *, publish: bool
) -> None:
    if name not in product_book().forms or not forms:
        raise FieldError(f"NAME: there is no form {name} in this language: smarterbot form list")
    if category not in CATEGORIES:
        raise FieldError(f"--category: one of {', '.join(CATEGORIES)}")
    for called, form in forms.items():
        if wrong := problems(form):
            raise FormRefusedError("\n".join((f"{called}:", *wrong)))
    local = endpoint.startswith(("http://127.0.0.1", "http://localhost"))
    if publish and not endpoint.startswith("https://") and not local:
        raise FieldError("PUBLIC_URL: Meta asks for a form's screens over https:// only")


def _tell(facts: Sequence[Mapping[str, object]], lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        print_line("\n".join(lines))
