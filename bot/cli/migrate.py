"""`smarterbot migrate`: bring the schema up to date."""

import asyncio

from bot.cli.output import AsJson, DryRun, print_json, print_line
from bot.cli.session import command_stores
from bot.settings import from_environment
from bot.store.migrate import migrate


def migrate_schema(*, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Apply the migrations that are missing, and grant the server's role what it needs. Harmless to repeat."""
    settings = from_environment()
    with command_stores(settings) as stores:
        applied = asyncio.run(
            migrate(owner_url=stores.postgres.owner, app_url=stores.postgres.app, dry_run=dry_run)
        )
    if as_json:
        print_json({"migrations": applied, "dry_run": dry_run})
    elif applied:
        print_line(
            "\n".join(f"{'would apply' if dry_run else 'applied'} {name}" for name in applied)
        )
    else:
        print_line("the schema is up to date")
