"""`kickstand-hub region|model|dealer import|list`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import click
import orjson

from hub.registry.imports import ImportAnswer
from hub.registry.service import Book, Registry
from hub.registry.sheets import MAX_FILE_BYTES

MAX_REFUSALS_SHOWN: Final = 20


class WithRegistry(Protocol):
    """The hub, as far as these commands know it."""

    @property
    def registry(self) -> Registry:
        """Regions, models and dealers."""
        ...


class Program(Protocol):
    """click's context object: opens the hub when it is asked for."""

    @property
    def hub(self) -> WithRegistry:
        """The hub on its open database."""
        ...


AnyBook: TypeAlias = Book[Any]


def _group(noun: str, plural: str, summary: str) -> click.Group:
    group = click.Group(noun, help=summary)

    def book_of(program: Program) -> AnyBook:
        book: AnyBook = getattr(program.hub.registry, plural)
        return book

    @group.command("import", help=f"Create and change {plural} from a CSV or XLSX file.")
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--partial", is_flag=True, help="Import the good rows when others are refused.")
    @click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
    @click.pass_obj
    def import_(
        program: Program, file: Path, *, partial: bool, dry_run: bool, as_json: bool
    ) -> None:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        answer = book_of(program).import_file(content, partial=partial, dry_run=dry_run)
        _print_answer(answer, as_json=as_json)
        if answer.refused:
            raise SystemExit(1)

    @group.command("list", help=f"List all {plural}, by code.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
    @click.pass_obj
    def list_(program: Program, *, as_json: bool) -> None:
        rows = book_of(program).all()
        if as_json:
            items = [asdict(row) for row in rows]
            click.echo(orjson.dumps({"items": items, "next": None}).decode())
            return
        for row in rows:
            click.echo(f"{row.code:<12} {row.name}")

    return group


def _print_answer(answer: ImportAnswer, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(answer.as_json()).decode())
        return
    for refusal in answer.refused[:MAX_REFUSALS_SHOWN]:
        where = f"row {refusal.row}" if refusal.row else "file"
        click.echo(f"{where}: {refusal.message} [{refusal.code}]", err=True)
    hidden = len(answer.refused) - MAX_REFUSALS_SHOWN
    if hidden > 0:
        click.echo(f"… and {hidden} more; --json shows all", err=True)
    done = "would be " if answer.dry_run else ""
    click.echo(
        f"{answer.rows} rows: {done}{answer.created} created, {answer.changed} changed, "
        f"{answer.unchanged} unchanged, {len({r.row for r in answer.refused})} refused"
    )
    if answer.refused and not (answer.created or answer.changed):
        click.echo("Nothing was imported; mend the rows above, or add --partial.", err=True)


groups: Final[tuple[click.Group, ...]] = (
    _group("region", "regions", "Parts of the country, each with one manager."),
    _group("model", "models", "What can be sold."),
    _group("dealer", "dealers", "Authorised locations, one row each."),
)
