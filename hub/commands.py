"""The commands of `kickstand-hub` that speak of no single feature, and the devices' own."""

import sys
from functools import partial
from typing import Protocol, TextIO

import click
import orjson
from sqlalchemy import Connection

from hub.accounts.commands import login_link
from hub.accounts.service import create_admin
from hub.accounts.token_commands import token_group
from hub.config import HubConfig
from hub.errors import AnotherSequencer
from hub.integrations.commands import whatsapp_group
from hub.jobs import Worker
from hub.keys import Rotating, create_keys, rotate_key
from hub.leads.commands import lead_group, place_group
from hub.ledger.commands import ledger_group
from hub.registry.commands import groups as registry_groups
from hub.registry.commands import person_group
from hub.store.migrate import migrate
from hub.subjects.commands import subject_group
from hub.wiring import Hub, elect_sequencer, open_hub
from hub.work_process import Lifeline, WorkProcess, affordable

KEY_ROTATED = "hub.key_rotated"


class Program(Protocol):
    """click's context object."""

    @property
    def config(self) -> HubConfig:
        """The settings."""
        ...

    @property
    def hub(self) -> Hub:
        """The hub on its open database."""
        ...


def _say(values: dict[str, object], *, as_json: bool, text: str) -> None:
    click.echo(orjson.dumps(values).decode() if as_json else text)


json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")


def _migrate(hub: Hub) -> bool:
    return migrate(hub.database)


def forget_again(hub: Hub) -> None:
    """Whom a restored backup brought back is gone before anything is shown or sent."""
    hub.subjects.reapply()


@click.command(help="Make keys and database, and a login link for the first admin.")
@click.option("--admin", "email", required=True, help="E-mail address of the first admin.")
@json_option
@click.pass_obj
def init(program: Program, email: str, *, as_json: bool) -> None:
    """Idempotent: what exists stays; each call gives a new login link."""
    create_keys(program.config.server.keys_dir)
    hub = program.hub
    _migrate(hub)
    now_ms = hub.clock.wall_ms()
    try:
        path = hub.database.write(lambda connection: create_admin(connection, email, now_ms))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    url = program.config.server.public_url.rstrip("/") + path
    _say(
        {
            "login_url": url,
            "root_fingerprint": hub.keys.fingerprint,
            "log_key": hub.ledger.key.vkey,
        },
        as_json=as_json,
        text=f"{email} signs in once at {url}\n"
        f"The root key's fingerprint is {hub.keys.fingerprint}",
    )
    hub.close()


@click.command(name="migrate", help="Bring the database to this release's schema.")
@click.pass_obj
def migrate_command(program: Program) -> None:
    """One process migrates; the others start afterwards."""
    done = _migrate(program.hub)
    click.echo("migrated" if done else "nothing to do")
    program.hub.close()


@click.command(help="Serve boxes and people.")
@click.option(
    "--only", type=click.Choice(["leads"]), help="Serve leads without boxes, sales and ledger."
)
@click.option("--no-worker", is_flag=True, help="Leave the background work to `work`.")
@click.pass_obj
def serve(program: Program, only: str | None, *, no_worker: bool) -> None:
    """Prints ``listening on http://…`` when ready.

    The leads alone may also run beside a whole `serve` on the same database, or several of them.
    """
    from hub.app import create_app  # noqa: PLC0415 - Flask costs 200 ms that no other command needs
    from hub.server import serve as serve_app  # noqa: PLC0415 - only this command needs it

    beside = WorkProcess(partial(_beside, program)) if not no_worker and affordable() else None
    hub = program.hub
    _migrate(hub)
    lock, sequences = _elect(hub, alone=only is None)
    forget_again(hub)
    worker = None if no_worker or beside is not None else _worker(hub, sequences=sequences)
    app = create_app(hub, only_leads=only == "leads")
    serve_app(app, hub, worker, beside, sequences=sequences)
    if lock is not None:
        lock.close()


def _beside(program: Program, lifeline: Lifeline) -> None:
    """What `work` does, in the process beside `serve`."""
    from hub.server import run_beside  # noqa: PLC0415 - only a lasting worker needs it

    hub = program.hub
    run_beside(hub, _worker(hub, sequences=not hub.database.is_sqlite), lifeline)


def _elect(hub: Hub, *, alone: bool) -> tuple[TextIO | None, bool]:
    """Whether this process may order the ledger; the lock is to be kept open meanwhile.

    One that has to be the only one (`alone`) raises AnotherSequencer when it is not.
    """
    try:
        return elect_sequencer(hub), True
    except AnotherSequencer:
        if alone:
            raise
        return None, False


def _worker(hub: Hub, *, sequences: bool) -> Worker:
    timers = (hub.devices.keys.retire_due, hub.leads.follow_sales, hub.leads.forget)
    return Worker(hub.database, hub.ledger, sequences=sequences, timers=timers)


def _until_idle(hub: Hub, *, sequences: bool) -> bool:
    """Everything a lasting worker does, in this thread, until nothing is left."""
    leads = hub.leads
    worker = Worker(
        hub.database,
        hub.ledger,
        sequences=sequences,
        timers=(
            hub.devices.keys.retire_due,
            leads.follow_sales,
            leads.step,
            leads.forget,
            leads.sender.step,
        ),
        idle=leads.idle,
    )
    idle = worker.until_idle()
    leads.sender.close()
    return idle


@click.command(help="Do the background work: order facts, follow the ledger.")
@click.option("--until-idle", is_flag=True, help="Return when nothing is left to do.")
@click.pass_obj
def work(program: Program, *, until_idle: bool) -> None:
    """Beside `serve` or alone; exit 1 when work is left that nobody takes."""
    hub = program.hub
    forget_again(hub)
    if until_idle:
        lock, sequences = _elect(hub, alone=False)
        idle = _until_idle(hub, sequences=sequences)
        hub.close()
        if lock is not None:
            lock.close()
        if not idle:
            raise click.ClickException("work is left that no process takes; is `serve` running?")
        return
    from hub.server import run_worker  # noqa: PLC0415 - only a lasting worker needs it

    # On SQLite `serve` orders the ledger: it must not find that place taken when it restarts.
    run_worker(hub, _worker(hub, sequences=not hub.database.is_sqlite))


@click.command(help="Compute every projection from the ledger again, and compare.")
@json_option
@click.pass_obj
def rebuild(program: Program, *, as_json: bool) -> None:
    """Exit 1 when what was there was not the exact fold of the ledger."""
    from hub.rebuild import rebuild as run  # noqa: PLC0415 - only this command needs it

    result = run(program.hub)
    _say(
        {"entries": result.entries, "rows": result.rows, "differing": result.differing},
        as_json=as_json,
        text=f"{result.entries} entries folded into {result.rows} rows; "
        + (f"differed: {', '.join(result.differing)}" if result.differing else "all as before"),
    )
    program.hub.close()
    if result.differing:
        sys.exit(1)


@click.group(help="Boxes: invite, list.")
def device() -> None:
    """Boxes."""


@device.command(help="Make a one-use code for a box of a dealer.")
@click.option("--dealer", required=True, help="The dealer's code.")
@json_option
@click.pass_obj
def invite(program: Program, dealer: str, *, as_json: bool) -> None:
    """The code also carries the fingerprint of the hub's root key."""
    hub = program.hub
    found = hub.registry.dealer(dealer)
    if found is None:
        raise click.ClickException(f"no dealer {dealer!r}: import it first (dealer import FILE)")

    def write(connection: Connection) -> str:
        return hub.devices.invite(connection, found.code)

    code = f"{hub.database.write(write)}.{hub.keys.fingerprint}"
    hours = program.config.ingest.invitation_s // 3600
    _say(
        {"code": code, "dealer": found.code, "expires_s": program.config.ingest.invitation_s},
        as_json=as_json,
        text=f"{code}\nOne box of {found.name} can use it within {hours} hours:\n"
        f"  kickstand-agent enroll --hub {program.config.server.public_url} --code {code}",
    )
    hub.close()


@device.command(name="list", help="List the boxes and how they are.")
@json_option
@click.pass_obj
def list_devices(program: Program, *, as_json: bool) -> None:
    """From the projections: what the ledger says of each box."""
    rows = program.hub.devices.all()
    if as_json:
        click.echo(orjson.dumps({"items": rows, "next": None}).decode())
        return
    for row in rows:
        click.echo(
            f"{row['device']}  {row['dealer']:<12} {row['state']:<10} {row['events']} events"
        )


@device.command(name="revoke", help="Take a box's keys away, or one of them; for ever.")
@click.argument("box")
@click.option("--key", "keyid", help="Only the key of this id. [default: all, and the box]")
@click.option("--reason", required=True, help="Why; it stands on the ledger.")
@json_option
@click.pass_obj
def revoke(program: Program, box: str, keyid: str | None, reason: str, *, as_json: bool) -> None:
    """What was sealed before stays proven; what comes after is refused."""
    hub = program.hub
    ended = hub.devices.keys.revoke(box, keyid=keyid, reason=reason)
    _say({"device": box, "revoked": ended}, as_json=as_json, text=f"{ended} keys revoked")
    hub.close()


@click.group(name="keys", help="The hub's own keys.")
def keys_group() -> None:
    """Keys."""


@keys_group.command(help="Follow the http or the ledger key with a new one. The hub is stopped.")
@click.argument("key", type=click.Choice(["http", "ledger"]))
@click.option("--reason", required=True, help="Why; it stands on the ledger.")
@json_option
@click.pass_obj
def rotate(program: Program, key: Rotating, reason: str, *, as_json: bool) -> None:
    """What the old key signed stays good; boxes fetch the new one by the root key's word."""
    lock = elect_sequencer(program.hub)
    program.hub.close()
    rotate_key(program.config.server, key)
    hub = open_hub(program.config)
    named = hub.keys.http.public.keyid if key == "http" else hub.ledger.key.vkey
    fact = {"key": key, "follows": named, "reason": reason[:200]}
    now_ms = hub.clock.wall_ms()
    hub.database.write(
        lambda connection: hub.ledger.append(connection, KEY_ROTATED, fact, now_ms=now_ms)
    )
    version = hub.keys.keyset.version
    hub.close()
    if lock is not None:
        lock.close()
    _say(
        {"key": key, "is": named, "version": version},
        as_json=as_json,
        text=f"the {key} key is {named} now, in version {version} of the key set\n"
        f"Start the hub; boxes fetch the set by themselves. Copy {key}.pem and history.json to "
        "every machine and to your copy of the keys",
    )


@ledger_group.command(
    help="Go on without what nobody can give back: open a new generation of the ledger. "
    "The hub must be stopped."
)
@click.option("--reason", required=True, help="Why; it stands on the ledger.")
@json_option
@click.pass_obj
def generation(program: Program, reason: str, *, as_json: bool) -> None:
    """Cut anywhere, the same command goes on from there."""
    from hub.generations import open_generation  # noqa: PLC0415 - once in the life of a hub

    lock = elect_sequencer(program.hub)
    opened = open_generation(program.hub, reason=reason, again=open_hub)
    if lock is not None:
        lock.close()
    opening = opened.opening
    _say(
        {
            "generation": opening.generation,
            "origin": opening.begins.origin,
            "size": opening.begins.size,
            "ended_size": opening.ended.size,
            "placed": opened.placed,
            "aside": opened.aside,
        },
        as_json=as_json,
        text=f"generation {opening.generation}, {opening.begins.origin}, goes on from entry "
        f"{opening.begins.size}; of the one before it {opening.ended.size} entries were proven\n"
        f"{opened.placed} batches that boxes gave back have places again, {opened.aside} stay "
        "aside\nStart the hub; the boxes follow by themselves and deliver what they still hold. "
        "Copy history.json from the keys' folder to every machine and to your copy of the keys",
    )


def _set_suspended(program: Program, box: str, reason: str, *, suspended: bool) -> bool:
    hub = program.hub
    changed = hub.devices.keys.set_suspended(box, suspended=suspended, reason=reason)
    hub.close()
    return changed


@device.command(help="Let a box in no longer; it keeps what it has until `resume`.")
@click.argument("box")
@click.option("--reason", required=True, help="Why; it stands on the ledger.")
@json_option
@click.pass_obj
def suspend(program: Program, box: str, reason: str, *, as_json: bool) -> None:
    """In force within two seconds, in every process. Idempotent."""
    changed = _set_suspended(program, box, reason, suspended=True)
    text = f"{box} is suspended" if changed else f"{box} was suspended already"
    _say({"device": box, "state": "suspended", "changed": changed}, as_json=as_json, text=text)


@device.command(help="Let a suspended box in again.")
@click.argument("box")
@click.option("--reason", required=True, help="Why; it stands on the ledger.")
@json_option
@click.pass_obj
def resume(program: Program, box: str, reason: str, *, as_json: bool) -> None:
    """The box tries every ten minutes. Idempotent."""
    changed = _set_suspended(program, box, reason, suspended=False)
    text = f"{box} is let in again" if changed else f"{box} was not suspended"
    _say({"device": box, "state": "active", "changed": changed}, as_json=as_json, text=text)


person_group.add_command(login_link)

COMMANDS: tuple[click.Command, ...] = (
    init,
    keys_group,
    migrate_command,
    serve,
    work,
    rebuild,
    device,
    ledger_group,
    *registry_groups,
    whatsapp_group,
    lead_group,
    place_group,
    token_group,
    subject_group,
)
