"""`kickstand-hub lead import|nearest|show|release|transfer|close`, `place import|list`."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Final, Protocol

import click
import orjson
from sqlalchemy import Connection

from hub.leads.atlas import Atlas
from hub.leads.board import Board
from hub.leads.lead_file import LeadFile
from hub.leads.places import check_pin
from hub.leads.reads import Viewer
from hub.leads.service import Leads
from hub.registry.commands import import_command
from hub.store import Database
from shared.clock import Clock
from shared.instants import rfc3339

BY: Final = "command"
HERE: Final = Viewer(id=BY, everything=True)
"""Whoever may run commands on the hub's machine; who the customers are stays masked."""
CLOSE_REASONS: Final = (
    "not_interested",
    "unreachable",
    "bought_elsewhere",
    "wrong_number",
    "no_lead",
    "other",
)
"""Why a lead is closed by hand: a list, so that no name gets into a reason."""


class WithBoard(Protocol):
    """The leads of a hub, as far as these commands know them."""

    @property
    def board(self) -> Board:
        """For looking."""
        ...

    @property
    def leads(self) -> Leads:
        """For acting."""
        ...

    @property
    def file(self) -> LeadFile:
        """For taking leads in."""
        ...

    @property
    def atlas(self) -> Atlas:
        """What people write for places."""
        ...


class WithLeads(Protocol):
    """The hub, as far as these commands know it."""

    @property
    def leads(self) -> WithBoard:
        """Its leads."""
        ...

    @property
    def database(self) -> Database:
        """Where they are."""
        ...

    @property
    def clock(self) -> Clock:
        """What time it is."""
        ...


class Program(Protocol):
    """click's context object: opens the hub when it is asked for."""

    @property
    def hub(self) -> WithLeads:
        """The hub on its open database."""
        ...


json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
lead_argument = click.argument("lead", metavar="LED_ID")


@click.group(name="lead", help="Leads: who would get one, one lead, whose it is.")
def lead_group() -> None:
    """Leads."""


def _file(program: Program) -> LeadFile:
    return program.hub.leads.file


lead_group.add_command(
    import_command("Take leads in from a CSV or XLSX file, each row once.", _file)
)


@click.group(name="place", help="What people write for places, beside the list that ships.")
def place_group() -> None:
    """Places."""


def _atlas(program: Program) -> Atlas:
    return program.hub.leads.atlas


place_group.add_command(
    import_command("Add and change names of places from a CSV or XLSX file.", _atlas)
)


@place_group.command(name="list", help="List the names that were imported.")
@json_option
@click.pass_obj
def places(program: Program, *, as_json: bool) -> None:
    """By spelling."""
    aliases = _atlas(program).all()
    if as_json:
        items = [asdict(alias) for alias in aliases]
        click.echo(orjson.dumps({"items": items, "next": None}).decode())
        return
    for alias in aliases:
        click.echo(f"{alias.alias:<24} {alias.name}")


@lead_group.command(help="Say who would get a lead at this place, and why not the others.")
@click.option("--lat", type=float, required=True, help="Latitude in degrees.")
@click.option("--lon", type=float, required=True, help="Longitude in degrees.")
@click.option("--at", "at", help="At this time, RFC 3339. [default: now]")
@json_option
@click.pass_obj
def nearest(program: Program, lat: float, lon: float, at: str | None, *, as_json: bool) -> None:
    """From the nearest store outwards."""
    fault = check_pin(lat, lon)
    if fault != "ok":
        raise click.UsageError(f"{lat}, {lon} is no place in Indonesia ({fault})")
    stops = program.hub.leads.board.nearest(lat, lon, None if at is None else _moment(at))
    if as_json:
        items = [{**stop.as_json(), "reps": [rep.id for rep in stop.reps]} for stop in stops]
        click.echo(orjson.dumps({"items": items, "next": None}).decode())
        return
    for stop in stops:
        mark = "+" if stop.chosen else " "
        people = " ".join(rep.id for rep in stop.reps)
        click.echo(
            f"{mark} {stop.near.km:7.1f} km  {stop.near.dealer.code:<12} {stop.why} {people}"
        )


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--at {text!r} is no RFC 3339 time") from error
    if moment.tzinfo is None:
        raise click.UsageError(f"--at {text!r} does not say its time zone")
    return int(moment.timestamp() * 1000)


@lead_group.command(help="Show one lead with its timeline; who the customer is stays masked.")
@lead_argument
@json_option
@click.pass_obj
def show(program: Program, lead: str, *, as_json: bool) -> None:
    """The contract's object, or its timeline as lines."""
    found = program.hub.leads.board.one(HERE, lead)
    whole = program.hub.leads.board.whole(HERE, lead)
    if found is None or whole is None:
        raise click.ClickException(f"there is no lead {lead!r}")
    if as_json:
        click.echo(orjson.dumps(found).decode())
        return
    owner = "nobody's" if whole.lead.rep is None else f"{whole.lead.rep} of {whole.lead.dealer}"
    click.echo(f"{lead}  {whole.lead.state}  {owner}  {whole.masked}")
    for entry in whole.timeline:
        parts = (entry.kind, entry.dealer, entry.person, entry.decision)
        said = "  ".join(part for part in parts if part is not None)
        click.echo(f"{rfc3339(entry.at_ms)}  {said}")


@lead_group.command(help="Take a lead from its owner and put it back on the market.")
@lead_argument
@json_option
@click.pass_obj
def release(program: Program, lead: str, *, as_json: bool) -> None:
    """Exit 1 when nobody has it."""
    leads = program.hub.leads.leads
    _do(
        program,
        lead,
        lambda c, now_ms: leads.release(c, lead, by=BY, now_ms=now_ms),
        as_json=as_json,
    )


@lead_group.command(help="Give a lead to a person.")
@lead_argument
@click.argument("person", metavar="PER_ID")
@json_option
@click.pass_obj
def transfer(program: Program, lead: str, person: str, *, as_json: bool) -> None:
    """Exit 1 when it cannot be given away, or not to them."""
    leads = program.hub.leads.leads
    _do(
        program,
        lead,
        lambda c, now_ms: leads.transfer(c, lead, person, by=BY, now_ms=now_ms),
        as_json=as_json,
    )


@lead_group.command(help="Close a lead without a sale.")
@lead_argument
@click.option("--reason", type=click.Choice(CLOSE_REASONS), required=True, help="Why.")
@json_option
@click.pass_obj
def close(program: Program, lead: str, reason: str, *, as_json: bool) -> None:
    """Exit 1 when it is closed."""
    leads = program.hub.leads.leads
    _do(
        program,
        lead,
        lambda c, now_ms: leads.close(c, lead, reason=reason, now_ms=now_ms),
        as_json=as_json,
    )


def _do(
    program: Program, lead: str, deed: Callable[[Connection, int], bool], *, as_json: bool
) -> None:
    hub = program.hub
    done = hub.database.write(lambda connection: deed(connection, hub.clock.wall_ms()))
    found = hub.leads.board.whole(HERE, lead)
    if found is None:
        raise click.ClickException(f"there is no lead {lead!r}")
    if not done:
        raise click.ClickException(f"not so for a lead that is {found.lead.state}")
    if as_json:
        click.echo(orjson.dumps({"lead": lead, "state": found.lead.state}).decode())
    else:
        click.echo(f"{lead} is {found.lead.state}")
