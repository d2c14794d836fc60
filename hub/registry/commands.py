"""`kickstand-hub region|model|dealer|person import|list`, `dealer close`, `person away`."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import click
import orjson

from hub.registry import rules
from hub.registry.cells import CellRefused, day
from hub.registry.imports import ImportAnswer
from hub.registry.people import rules as people_rules
from hub.registry.people.service import People
from hub.registry.service import Book, CannotBe, Registry
from hub.registry.sheets import MAX_FILE_BYTES
from shared.instants import rfc3339

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


AnyBook: TypeAlias = Book[Any] | People


class Importer(Protocol):
    """What takes in files."""

    def import_file(self, content: bytes, *, partial: bool, dry_run: bool) -> ImportAnswer:
        """Take in what the rows of a file say."""
        ...


def import_command(summary: str, importer_of: Callable[[Any], Importer]) -> click.Command:
    """``import FILE``, the same for all kinds of rows; `importer_of` gets click's object."""

    @click.command("import", help=summary)
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--partial", is_flag=True, help="Import the good rows when others are refused.")
    @click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
    @click.pass_obj
    def import_(
        program: object, file: Path, *, partial: bool, dry_run: bool, as_json: bool
    ) -> None:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        answer = importer_of(program).import_file(content, partial=partial, dry_run=dry_run)
        _print_answer(answer, partial=partial, as_json=as_json)
        if answer.refused:
            raise SystemExit(1)

    return import_


def _group(noun: str, plural: str, summary: str) -> click.Group:
    group = click.Group(noun, help=summary)

    def book_of(program: Program) -> AnyBook:
        book: AnyBook = getattr(program.hub.registry, plural)
        return book

    group.add_command(
        import_command(f"Create and change {plural} from a CSV or XLSX file.", book_of)
    )

    @group.command("list", help=f"List all {plural}, by code.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
    @click.pass_obj
    def list_(program: Program, *, as_json: bool) -> None:
        rows = book_of(program).all()
        if as_json:
            items = [_item(row) for row in rows]
            click.echo(orjson.dumps({"items": items, "next": None}).decode())
            return
        for row in rows:
            click.echo(f"{row.code:<12} {row.name}")

    return group


_COLUMNS: Final = {field: name for name, field in (rules.FIELDS | people_rules.FIELDS).items()}


def _item(row: Any) -> dict[str, object]:
    """A row by the names of the files' columns, its times as RFC 3339."""
    values = asdict(row)
    return {
        _COLUMNS.get(field, field): rfc3339(value) if field in _COLUMNS and value else value
        for field, value in values.items()
    }


def _print_answer(answer: ImportAnswer, *, partial: bool, as_json: bool) -> None:
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
        click.echo(_next_step(answer, partial=partial), err=True)


def _next_step(answer: ImportAnswer, *, partial: bool) -> str:
    if answer.unreadable:
        mend = "mend the file."
    else:
        mend = "mend the rows above." if partial else "mend the rows above, or add --partial."
    return f"Nothing {'would be' if answer.dry_run else 'was'} imported; {mend}"


class Day(click.ParamType[str]):
    """A day such as 2026-11-22."""

    name = "day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The day as it is written; a usage error for what is none."""
        try:
            return day(str(value))
        except CellRefused as refused:
            self.fail(str(refused), param, ctx)


def _say(values: dict[str, object], *, as_json: bool, text: str) -> None:
    click.echo(orjson.dumps(values).decode() if as_json else text)


@click.command(help="Close a dealer for good, from a day on.")
@click.argument("code")
@click.option("--on", type=Day(), required=True, help="The first day it is closed.")
@click.option("--into", help="Its people belong to this dealer too, from now on.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@click.pass_obj
def close(program: Program, code: str, on: str, into: str | None, *, as_json: bool) -> None:
    """Repeatable; a later import of a dealers file without that day opens it again."""
    try:
        people = program.hub.registry.close_dealer(code, on, into=into)
    except CannotBe as error:
        raise click.ClickException(str(error)) from error
    _say(
        {"dealer": code.upper(), "closed_on": on, "into": into and into.upper(), "people": people},
        as_json=as_json,
        text=f"{code.upper()} is closed from {on} on"
        + (f"; {people} people belong to {into.upper()} too" if into else ""),
    )


@click.command(help="Say that a person is away, and who stands in for them.")
@click.argument("person")
@click.option("--from", "from_day", type=Day(), required=True, help="The first day.")
@click.option("--until", "until_day", type=Day(), required=True, help="The last day.")
@click.option("--deputy", help="Who stands in; else the deputy of the people's file.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@click.pass_obj
def away(
    program: Program,
    *,
    person: str,
    from_day: str,
    until_day: str,
    deputy: str | None,
    as_json: bool,
) -> None:
    """In place of an absence that began on the same day."""
    try:
        program.hub.registry.away(person, from_day, until_day, deputy=deputy)
    except CannotBe as error:
        raise click.ClickException(str(error)) from error
    _say(
        {"person": person, "from": from_day, "until": until_day, "deputy": deputy},
        as_json=as_json,
        text=f"{person} is away from {from_day} until {until_day}",
    )


dealer_group: Final = _group("dealer", "dealers", "Authorised locations, one row each.")
dealer_group.add_command(close)
person_group: Final = _group("person", "people", "Who works where, and who stands in for them.")
person_group.add_command(away)
groups: Final[tuple[click.Group, ...]] = (
    _group("region", "regions", "Parts of the country, each with one manager."),
    _group("model", "models", "What can be sold."),
    dealer_group,
    person_group,
)
