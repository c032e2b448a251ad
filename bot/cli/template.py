"""`smarterbot template`: our templates at Meta."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import msgspec
import typer

from bot.cli.meta import Line, find_line, graph_of, refusal_of
from bot.cli.output import AsJson, DryRun, FieldError, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.clock import Clock
from bot.people.templates import replace_templates
from flows.catalogue import LOCALES
from flows.dialog.templates import TemplateFile, TemplateFileError, Templates, read_templates
from handlers.whatsapp.care import SKEW_MS
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError
from handlers.whatsapp.listing import list_templates, templates_of
from handlers.whatsapp.publishing import Planned, carry_out, file_of, plan

app = typer.Typer(help="Our message templates at Meta.", no_args_is_help=True)

Number = Annotated[UUID, typer.Argument(metavar="CHANNEL", help="Id of a channel of the account.")]
Names = Annotated[
    list[str] | None, typer.Option("--name", help="Only this one; may be given again.")
]

_VERDICTS: Final = {
    "create": "not at Meta",
    "edit": "differs",
    "same": "as its file says",
    "waits": "differs, and cannot be edited now",
    "foreign": "no file",
}


@app.command("status")
def status(channel: Number, *, as_json: AsJson = False) -> None:
    """Our files beside what Meta has. Exit status 1 if a template of ours may not be sent."""
    files = _files()

    async def work(session: Session) -> list[Planned]:
        line = await find_line(session, channel)
        async with graph_of(session) as graph:
            return plan(files, await _listed(session, graph, line))

    found = in_session(work)
    if as_json:
        print_json(found)
    else:
        _table(found)
    if any(each.step != "foreign" and each.status != "APPROVED" for each in found):
        raise typer.Exit(1)


@app.command("push")
def push(
    channel: Number,
    *,
    name: Names = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Create what Meta has not, edit what differs, and say what Meta answered. Exit status 1 if something was refused."""
    files = _files()
    if unknown := sorted(set(name or ()) - set(files.names())):
        raise FieldError(f"--name: there is no template {', '.join(unknown)}")

    async def work(session: Session) -> list[dict[str, object]]:
        line = await find_line(session, channel)
        async with graph_of(session) as graph:
            found = [
                each
                for each in plan(files, await _listed(session, graph, line))
                if each.step != "foreign" and (not name or each.name in name)
            ]
            answers = [
                await _pushed(graph, line, each, files, at=f"{n}/{len(found)}", dry_run=dry_run)
                for n, each in enumerate(found, start=1)
            ]
            if not dry_run:
                await _listed(session, graph, line)
        return answers

    answers = in_session(work)
    if as_json:
        print_json(answers)
    refused = sum("refused" in answer for answer in answers)
    if refused:
        raise typer.Exit(1)


@app.command("pull")
def pull(
    channel: Number,
    *,
    into: Annotated[
        Path | None, typer.Option(help="Write files of those that have none into this folder.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fetch what Meta has: the server knows it at once, and with --into files are written of what has none."""
    files = _files()

    async def work(session: Session) -> list[dict[str, object]]:
        line = await find_line(session, channel)
        async with graph_of(session) as graph:
            listed = await _listed(session, graph, line)
        foreign = {
            (each.name, each.locale) for each in plan(files, listed) if each.step == "foreign"
        }
        return [
            _pulled(described, into, dry_run=dry_run)
            for described in listed
            if (described.get("name"), str(described.get("language")).replace("-", "_")) in foreign
        ]

    found = in_session(work)
    if as_json:
        print_json(found)
        return
    for each in found:
        print_line(" ".join(str(value) for value in each.values()))
    if not found:
        print_line("Meta has nothing that we have no file of")


# ------------------------------------------------------------------ one template


async def _listed(session: Session, graph: Graph, line: Line) -> list[dict[str, object]]:
    """All that Meta has; the server learns of it, too."""
    now = Clock().now_ms()
    listed = await list_templates(graph, line.channel.waba_id, line.token)
    channel = line.channel
    changed = await replace_templates(
        session.database, channel.tenant, channel.waba_id, templates_of(listed), as_of=now - SKEW_MS
    )
    if changed:
        await session.publish()
    return listed


async def _pushed(
    graph: Graph, line: Line, planned: Planned, files: Templates, *, at: str, dry_run: bool
) -> dict[str, object]:
    """Do it, say so on standard error, and answer what came of it."""
    told: dict[str, object] = {
        "name": planned.name,
        "locale": planned.locale,
        "step": planned.step,
        "differs": planned.differs,
    }
    file = files.get(planned.name, planned.locale)
    assert file is not None, "what is planned for a file has one"
    if planned.step in ("same", "waits"):
        said = f"{_VERDICTS[planned.step]} ({planned.status})"
        told["status"] = planned.status
    elif dry_run:
        said = f"would {planned.step} it{_which(planned)}"
    else:
        try:
            answer = await carry_out(graph, line.channel.waba_id, line.token, planned, file)
        except GraphError as error:
            said = told["refused"] = refusal_of(error)
        else:
            said = f"{planned.step}: {answer}{_which(planned)}"
            told["status"] = answer
    sys.stderr.write(f"{at} {planned.name} {planned.locale}: {said}\n")
    return told


def _which(planned: Planned) -> str:
    return f" ({', '.join(planned.differs)})" if planned.differs else ""


def _pulled(described: dict[str, object], into: Path | None, *, dry_run: bool) -> dict[str, object]:
    name, locale = str(described.get("name")), str(described.get("language")).replace("-", "_")
    file = file_of(described)
    told: dict[str, object] = {"name": name, "locale": locale}
    if isinstance(file, str):
        return told | {"cannot": f"cannot be a file: {file}"}
    if into is None:
        return told | {"file": "has no file"}
    target = into / locale / "templates" / f"{name}.toml"
    if not dry_run:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_toml(file), "utf-8")
    return told | {"file": str(target)}


def _toml(file: TemplateFile) -> str:
    """The file's text. A string of JSON is one of TOML."""

    def value(given: object) -> str:
        match given:
            case dict():
                inner = ", ".join(f"{key} = {value(each)}" for key, each in given.items() if each)
                return f"{{ {inner} }}"
            case list() | tuple():
                return f"[{', '.join(map(value, given))}]"
            case _:
                return json.dumps(given, ensure_ascii=False)

    fields = msgspec.to_builtins(file)
    placeholders = fields.pop("placeholders")
    lines = [f"{key} = {value(given)}" for key, given in fields.items() if given]
    if placeholders:
        lines += ["", "[placeholders]"]
        lines += [f"{name} = {value(given)}" for name, given in placeholders.items()]
    return "\n".join(lines) + "\n"


def _table(found: list[Planned]) -> None:
    print_table(
        ["template", "language", "status", "file", "why"],
        [
            (
                each.name,
                each.locale,
                each.status or "-",
                _VERDICTS[each.step] + _which(each),
                each.why,
            )
            for each in found
        ],
        empty="there are no templates",
    )


def _files() -> Templates:
    try:
        return read_templates(LOCALES)
    except TemplateFileError as error:
        raise FieldError(str(error)) from error
