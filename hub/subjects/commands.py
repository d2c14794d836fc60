"""`kickstand-hub subject export|erase`: what the law gives a customer."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, Protocol, TypeVar

import click
import orjson

from hub.subjects.people import Person

F = TypeVar("F", bound=Callable[..., Any])
BY: Final = "command"
"""In the log of readings: whoever may run commands on the hub."""


class Rights(Protocol):
    """The subjects, as far as these commands know them."""

    def export(self, person: Person, *, by: str, reason: str) -> dict[str, Any] | None:
        """All that is stored about a person."""
        ...

    def erase(self, person: Person, *, reason: str) -> Any:
        """Take it away."""
        ...


class WithSubjects(Protocol):
    """The hub, as far as these commands know it."""

    @property
    def subjects(self) -> Rights:
        """People and what is stored about them."""
        ...

    def close(self) -> None:
        """Finish queued writes."""
        ...


class Program(Protocol):
    """click's context object: opens the hub when it is asked for."""

    @property
    def hub(self) -> WithSubjects:
        """The hub on its open database."""
        ...


def _whose(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object."),
        click.option("--reason", required=True, help="Why; written down, so name nobody in it."),
        click.option("--email", help="Their e-mail address."),
        click.option("--bsuid", help="Their WhatsApp user id."),
        click.option("--phone", help="Their phone number, in any spelling."),
    ):
        command = option(command)
    return command


def _person(phone: str | None, bsuid: str | None, email: str | None) -> Person:
    if sum(value is not None for value in (phone, bsuid, email)) != 1:
        raise click.UsageError("name the person by one of --phone, --bsuid and --email")
    person = Person(phone=phone, bsuid=bsuid, email=email)
    if not person.possible:
        raise click.UsageError("that can be nobody's number, id or address")
    return person


@click.group("subject", help="A customer's rights: see what is stored about them, erase it.")
def subject_group() -> None:
    """Subjects."""


@subject_group.command("export", help="Print all that is stored about a person, as JSON.")
@_whose
@click.pass_obj
def export(
    program: Program,
    *,
    phone: str | None,
    bsuid: str | None,
    email: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """The reading is logged. Exit 1 when nothing is stored."""
    person = _person(phone, bsuid, email)
    found = program.hub.subjects.export(person, by=BY, reason=reason)
    program.hub.close()
    if found is None:
        raise click.ClickException("nothing is stored about this person")
    click.echo(orjson.dumps(found, option=0 if as_json else orjson.OPT_INDENT_2).decode())


@subject_group.command("erase", help="Take away all that is stored about a person, for ever.")
@_whose
@click.pass_obj
def erase(
    program: Program,
    *,
    phone: str | None,
    bsuid: str | None,
    email: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Who opted out stays opted out. Exit 1 when nothing is stored."""
    person = _person(phone, bsuid, email)
    try:
        outcome = program.hub.subjects.erase(person, reason=reason)
    except OSError as error:
        raise click.ClickException(f"the journal of erasures: {error.strerror}") from error
    finally:
        program.hub.close()
    if outcome is None:
        raise click.ClickException("nothing is stored about this person")
    values = asdict(outcome)
    text = (
        f"{outcome.subject} is erased: {outcome.leads} leads, {outcome.bodies} deliveries, "
        f"{outcome.purchases} purchases"
    )
    click.echo(orjson.dumps(values).decode() if as_json else text)
