"""`kickstand-hub person login-link`: how somebody of the people's file gets in."""

from typing import Protocol

import click
import orjson

from hub.accounts.rules import LINK_LIFE_MS
from hub.accounts.service import Accounts, NotOurs
from hub.config import HubConfig
from hub.store import Database
from shared.clock import Clock


class WithAccounts(Protocol):
    """The hub, as far as this command knows it."""

    @property
    def database(self) -> Database:
        """Where the accounts are."""
        ...

    @property
    def clock(self) -> Clock:
        """Since when a link lives."""
        ...


class Program(Protocol):
    """click's context object: opens the hub when it is asked for."""

    @property
    def config(self) -> HubConfig:
        """The settings."""
        ...

    @property
    def hub(self) -> WithAccounts:
        """The hub on its open database."""
        ...


@click.command(
    name="login-link", help="Make a link that signs a person in once, within ten minutes."
)
@click.argument("person")
@click.option("--forget-totp", is_flag=True, help="For who has lost their authenticator app.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@click.pass_obj
def login_link(program: Program, person: str, *, forget_totp: bool, as_json: bool) -> None:
    """The link's page has a button; opening it uses nothing up."""
    hub = program.hub
    try:
        path = Accounts(hub.database).person_link(
            person, now_ms=hub.clock.wall_ms(), forget_totp=forget_totp
        )
    except NotOurs as error:
        raise click.ClickException(str(error)) from error
    url = program.config.server.public_url.rstrip("/") + path
    life_s = LINK_LIFE_MS // 1000
    if as_json:
        values = {"login_url": url, "person": person, "expires_s": life_s}
        click.echo(orjson.dumps(values).decode())
        return
    click.echo(f"{person} signs in once at {url}\nwithin {life_s // 60} minutes")
