"""`kickstand-hub whatsapp doctor` and `whatsapp templates status|push`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import click
import orjson

from shared.clock import Clock

if TYPE_CHECKING:  # `kickstand-hub --help` must not wait for an HTTP client
    from hub.integrations.qontak.account import QontakAccount
    from hub.integrations.whatsapp.account import MetaAccount


class WithWhatsApp(Protocol):
    """The hub, as far as these commands know it."""

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def whatsapp(self) -> "MetaAccount":
        """The account at Meta."""
        ...

    @property
    def qontak(self) -> "QontakAccount | None":
        """The organisation at Qontak, if there is one."""
        ...


class Program(Protocol):
    """click's context object: opens the hub when it is asked for."""

    @property
    def hub(self) -> WithWhatsApp:
        """The hub on its open database."""
        ...


json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")


def _print(rows: Sequence[Any], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"items": [asdict(row) for row in rows], "next": None}).decode())
        return
    for row in rows:
        click.echo("  ".join(str(getattr(row, name) or "-") for name in columns))


@click.group("whatsapp", help="WhatsApp: our accounts at Meta and Qontak.")
def whatsapp_group() -> None:
    """The account."""


@whatsapp_group.command("doctor", help="Look for what keeps messages from coming or going.")
@click.option("--register", is_flag=True, help="First tell Qontak where to send its webhooks.")
@json_option
@click.pass_obj
def doctor(program: Program, *, register: bool, as_json: bool) -> None:
    """Asks the vendors and our own public address; without --register it changes nothing.

    Exit 1 when something is wrong.
    """
    from hub.integrations.qontak import doctor as qontak_doctor  # noqa: PLC0415 - only here
    from hub.integrations.whatsapp.doctor import examine  # noqa: PLC0415 - only here

    account, qontak = program.hub.whatsapp, program.hub.qontak
    public_url = account.settings.public_url
    if register and qontak is None:
        raise click.ClickException("[qontak] is not set: there is nobody to register with")
    findings = []
    if account.settings.numbers or qontak is None:
        findings += examine(account, program.hub.clock.wall_ms() // 1000)
    if qontak is not None:
        findings += qontak_doctor.register(qontak, public_url) if register else []
        findings += qontak_doctor.examine(qontak, public_url)
    _print(findings, ("verdict", "check", "detail", "fix"), as_json=as_json)
    if any(finding.verdict == "wrong" for finding in findings):
        raise SystemExit(1)


@whatsapp_group.group("templates", help="Message templates: what Meta lets us use.")
def templates() -> None:
    """Templates."""


@templates.command("status", help="Show each template of the settings as it stands at Meta.")
@json_option
@click.pass_obj
def status(program: Program, *, as_json: bool) -> None:
    """Exit 1 when Meta's list cannot be read."""
    from hub.integrations.whatsapp.template_shelf import (  # noqa: PLC0415 - only for templates
        ShelfUnreadable,
    )

    try:
        rows = program.hub.whatsapp.shelf.standing()
    except ShelfUnreadable as error:
        raise click.ClickException(str(error)) from error
    _print(rows, ("purpose", "name", "language", "state", "category", "reason"), as_json=as_json)


@templates.command("push", help="Submit the templates that Meta lacks or that differ.")
@json_option
@click.pass_obj
def push(program: Program, *, as_json: bool) -> None:
    """Idempotent; exit 1 when Meta refuses one."""
    from hub.integrations.whatsapp.template_shelf import (  # noqa: PLC0415 - only for templates
        ShelfUnreadable,
    )

    try:
        rows = program.hub.whatsapp.shelf.push()
    except ShelfUnreadable as error:
        raise click.ClickException(str(error)) from error
    _print(rows, ("name", "language", "done", "reason"), as_json=as_json)
    if any(row.done == "refused" for row in rows):
        raise SystemExit(1)
