"""The command line: `smarterbot`."""

import sys
from typing import NoReturn

import asyncpg
import typer

from bot.cli import (
    alerts,
    channel,
    channel_care,
    conversation,
    costs,
    flows,
    form,
    funnel,
    identity,
    key,
    lanes,
    loadtest,
    marketplace,
    prices,
    serve,
    system,
    template,
    tenant,
    tenant_parts,
)
from bot.cli.form import FormRefusedError
from bot.cli.meta import MetaError
from bot.cli.migrate import migrate_schema
from bot.cli.output import USAGE_EXIT, FieldError
from bot.embedded.process import EmbeddedError
from bot.lanes import LaneError, StoreLostError
from bot.loadtest.values import LoadTestError
from bot.people.errors import PeopleError, TakenError
from bot.settings import SettingsError
from bot.store.errors import UNAVAILABLE, StoreError

app = typer.Typer(
    name="smarterbot",
    help="WhatsApp-first conversation server. Settings come from the environment; see the README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(tenant.app, name="tenant")
app.add_typer(channel.app, name="channel")
tenant.app.command("status")(tenant_parts.status)
tenant.app.command("retry")(tenant_parts.retry)
channel.app.command("doctor")(channel_care.doctor)
channel.app.command("subscribe")(channel_care.subscribe)
channel.app.command("register")(channel_care.register)
channel.app.command("deregister")(channel_care.deregister)
app.add_typer(system.app, name="system")
app.add_typer(template.app, name="template")
app.add_typer(marketplace.app, name="marketplace")
app.add_typer(alerts.app, name="alerts")
app.add_typer(form.app, name="form")
app.add_typer(funnel.app, name="funnel")
app.add_typer(identity.app, name="identity")
app.add_typer(conversation.app, name="conversation")
app.add_typer(key.app, name="key")
app.add_typer(flows.app, name="flows")
app.add_typer(lanes.app, name="lanes")
app.add_typer(prices.app, name="prices")
app.command("costs")(costs.costs)
app.command("migrate")(migrate_schema)
app.command("serve")(serve.serve)
app.command("web")(serve.web)
app.command("worker")(serve.worker)
app.command("dev")(serve.dev)
app.command("loadtest")(loadtest.loadtest)


def main() -> None:
    """Run the command that the process's arguments name.

    Ends the process with 0, with 2 for a wrong value or setting, with 1 for anything else that went wrong; then one
    line for each problem stands on standard error.
    """
    try:
        app(prog_name="smarterbot")
    except (FieldError, SettingsError, TakenError) as error:
        _end(str(error), code=USAGE_EXIT)
    except (
        EmbeddedError,
        FormRefusedError,
        LaneError,
        LoadTestError,
        MetaError,
        PeopleError,
        StoreError,
    ) as error:
        _end(str(error), code=1)
    except StoreLostError as error:
        _end(f"REDIS_URL: {error}", code=1)
    except asyncpg.SyntaxOrAccessError as error:
        # Class 42: a table, a function or a right is missing.
        _end(f"the schema is not up to date, run `smarterbot migrate`: {error}", code=1)
    except UNAVAILABLE as error:
        _end(
            f"DATABASE_URL: the database cannot be reached: {str(error) or type(error).__name__}",
            code=1,
        )


def _end(problem: str, *, code: int) -> NoReturn:
    sys.stderr.write(f"error: {problem}\n")
    raise SystemExit(code)
