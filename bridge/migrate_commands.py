"""The commands that change a database: `stagebus migrate` and `stagebus uninstall`."""

from __future__ import annotations

from dataclasses import asdict

import click

from bridge import migrate as migration
from bridge import uninstall as uninstallation
from bridge.options import database_url_option
from bridge.printing import one_line, print_json
from bridge.replay import code_digest


@click.command()
@database_url_option
@click.option("--rollback", metavar="ID", help="Roll back migration ID and all that follow it.")
@click.option("--check", is_flag=True, help="Only say whether database and checkout agree.")
@click.option("--dump-sql", is_flag=True, help="Print what would run, run nothing.")
@click.option(
    "--search-path/--no-search-path",
    default=True,
    help="Append stagebus to the database's search_path, so that `select create_job(…)` works.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, once, at the end.")
def migrate(
    database_url: str,
    rollback: str | None,
    check: bool,
    dump_sql: bool,
    search_path: bool,
    as_json: bool,
) -> None:
    """Bring a database to the state of this version: tables, roles, functions.

    Safe to run again, and at the same time as others; refused where a newer version has migrated.
    Needs a role that may create roles and schemas, or roles that were made beforehand; no
    superuser.
    """
    if sum((rollback is not None, check, dump_sql)) > 1:
        raise click.UsageError("--rollback, --check and --dump-sql exclude each other")
    if dump_sql and as_json:
        raise click.UsageError("--dump-sql prints SQL, not JSON")
    if check:
        _check(database_url, as_json)
    elif dump_sql:
        click.echo(migration.script(database_url))
    elif rollback is not None:
        gone = migration.rollback(database_url, rollback)
        if as_json:
            print_json({"rolled_back": gone})
            return
        for name in gone:
            click.echo(f"rolled back {name}")
        click.echo("the functions were dropped; stagebus migrate brings them back")
    else:
        applied = migration.migrate(database_url, set_search_path=search_path)
        if as_json:
            print_json({"applied": applied, "code_digest": code_digest()})
            return
        for name in applied:
            click.echo(f"applied {name}")
        click.echo(f"replayed sql/ ({code_digest()[:12]})")


def _check(database_url: str, as_json: bool) -> None:
    found = migration.status(database_url)
    if as_json:
        print_json({**asdict(found), "agrees": found.agrees})
    else:
        for name in found.pending:
            click.echo(f"pending: {name}")
        for name in found.unknown:
            click.echo(one_line(f"applied, but not in this version: {name}"))
        if not found.digest_agrees:
            click.echo("the functions in the database are not those of this version")
    migration.refuse_newer(found.unknown)
    if not found.agrees:
        raise click.ClickException("database and version differ: stagebus migrate")
    if not as_json:
        click.echo("database and version agree")


@click.command()
@database_url_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also while jobs have not ended or a bridge publishes.")
@click.option("--dry-run", is_flag=True, help="Only say what there is and what would go.")
def uninstall(database_url: str, yes: bool, force: bool, dry_run: bool) -> None:
    """Take stagebus out of a database: tables with all jobs, functions, settings.

    The roles go when nothing else in the cluster uses them. What stays is said, with what to type.
    There is no way back, but running it again is safe. It exits with 0 where nothing is installed.
    """
    with uninstallation.session(database_url) as connection:
        database = connection.info.dbname
        contents = uninstallation.survey(connection)
        steps = uninstallation.plan(connection)
    if not steps:
        click.echo(f"there is nothing of stagebus in database {database!r}")
        return
    click.echo(contents or f"database {database!r} has no jobs of stagebus")
    if dry_run:
        for step in steps:
            click.echo(one_line(f"would drop {step.what}" if step.goes else str(step)))
        return
    if not yes and any(step.goes for step in steps):
        typed = click.prompt("all of it will be gone; type the database's name")
        if typed != database:
            raise click.ClickException("that is not its name; nothing was changed")
    for step in uninstallation.uninstall(database_url, force=force):
        click.echo(one_line(str(step)))
