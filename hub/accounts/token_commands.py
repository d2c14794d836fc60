"""`kickstand-hub token create|list|revoke`."""

from typing import Protocol

import click
import orjson

from hub.accounts.tokens import SCOPES, Token, Tokens
from hub.registry.service import Registry
from hub.store import Database
from shared.clock import Clock
from shared.instants import rfc3339


class WithTokens(Protocol):
    """The hub, as far as these commands know it."""

    @property
    def database(self) -> Database:
        """Where tokens are kept."""
        ...

    @property
    def registry(self) -> Registry:
        """Which dealers there are."""
        ...

    @property
    def clock(self) -> Clock:
        """What time it is."""
        ...


class Program(Protocol):
    """click's context object: opens the hub when it is asked for."""

    @property
    def hub(self) -> WithTokens:
        """The hub on its open database."""
        ...


json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")


@click.group(name="token", help="Tokens of programs that read the API.")
def token_group() -> None:
    """Tokens."""


@token_group.command(help="Make a token; its secret is shown once.")
@click.option("--scope", "scopes", required=True, help=f"One or more of {', '.join(SCOPES)}.")
@click.option("--dealer", help="Only what belongs to this dealer.")
@json_option
@click.pass_obj
def create(program: Program, scopes: str, dealer: str | None, *, as_json: bool) -> None:
    """The secret is stored as a hash: who loses it makes another."""
    hub = program.hub
    code = None
    if dealer is not None:
        found = hub.registry.dealer(dealer)
        if found is None:
            raise click.ClickException(f"no dealer {dealer!r}: import it first")
        code = found.code
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    made = Tokens(hub.database).create(wanted, dealer=code, now_ms=hub.clock.wall_ms())
    if as_json:
        click.echo(orjson.dumps({**_as_json(made.token), "token": made.secret}).decode())
        return
    click.echo(made.secret)
    click.echo(f"{made.token.id}; it is shown this once: Authorization: Bearer …", err=True)


@token_group.command(name="list", help="List every token, the oldest first.")
@json_option
@click.pass_obj
def list_(program: Program, *, as_json: bool) -> None:
    """Without their secrets, which nobody has."""
    tokens = Tokens(program.hub.database).all()
    if as_json:
        items = [_as_json(token) for token in tokens]
        click.echo(orjson.dumps({"items": items, "next": None}).decode())
        return
    for token in tokens:
        state = "live" if token.revoked_ms is None else "revoked"
        click.echo(f"{token.id}  {state:<8} {token.dealer or '-':<12} {_scopes(token)}")


@token_group.command(help="End a token at once.")
@click.argument("token")
@json_option
@click.pass_obj
def revoke(program: Program, token: str, *, as_json: bool) -> None:
    """Exit 1 when there is none that is alive."""
    hub = program.hub
    if not Tokens(hub.database).revoke(token, now_ms=hub.clock.wall_ms()):
        raise click.ClickException(f"there is no live token {token!r}")
    if as_json:
        click.echo(orjson.dumps({"id": token, "revoked": True}).decode())
    else:
        click.echo(f"{token} is revoked")


def _scopes(token: Token) -> str:
    return ",".join(scope for scope in SCOPES if scope in token.scopes)


def _as_json(token: Token) -> dict[str, object]:
    revoked_ms = token.revoked_ms
    return {
        "id": token.id,
        "scopes": _scopes(token).split(","),
        "dealer": token.dealer,
        "created_at": rfc3339(token.created_ms),
        "revoked_at": None if revoked_ms is None else rfc3339(revoked_ms),
    }
