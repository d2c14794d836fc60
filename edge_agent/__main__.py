"""`kickstand-agent`: run, enroll, status, buffer, doctor, decode. Heavy modules load when used."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent import VERSION
from edge_agent.errors import AgentError

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig

DEFAULT_CONFIG = Path("/etc/kickstand/agent.toml")
_CONFIG_TYPE = click.Path(dir_okay=False, path_type=Path)


class _Failed(click.ClickException):
    """Exit code 1 with a sentence on stderr."""


def _take_config(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().meta["config"] = value


_config_option = click.option(
    "--config",
    type=_CONFIG_TYPE,
    metavar="FILE",
    expose_value=False,
    callback=_take_config,
    help=f"Settings of this box. [default: {DEFAULT_CONFIG}]",
)


def _config() -> "AgentConfig":
    from edge_agent import config as configs  # noqa: PLC0415 - see the module's first line

    context = click.get_current_context()
    try:
        return configs.load(context.find_root().meta.get("config", DEFAULT_CONFIG))
    except AgentError as error:
        raise _Failed(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@_config_option
@click.version_option(VERSION, prog_name="kickstand-agent")
def main() -> None:
    """The box in the store: hears tills and scooters, stores durably, delivers with proof."""


@main.command()
@_config_option
@click.option(
    "--log",
    type=click.Choice(["json", "text"]),
    default="json",
    show_default=True,
    help="How each step is written to stderr: one JSON object a line, or one sentence.",
)
def run(log: str) -> None:
    """Run the agent until SIGTERM or SIGINT."""
    import signal  # noqa: PLC0415 - see the module's first line

    from edge_agent.agent import Agent  # noqa: PLC0415 - see the module's first line
    from shared.systemd_notify import Notifier  # noqa: PLC0415 - see the module's first line

    # Waited for instead of handled: a handler that sets an Event while the next signal's does waits
    # for itself, for ever. Blocked in every thread that begins after this.
    told = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)
    _share_one_heap()
    write = _write_json if log == "json" else _write_text
    _forward_logging(write)
    agent = Agent(
        _config(),
        on_event=write,
        notifier=Notifier.from_environment(),
    )
    try:
        agent.start()
    except AgentError as error:
        raise _Failed(str(error)) from error
    signal.sigwait(told)
    agent.stop()


def _share_one_heap() -> None:
    """Let all threads allocate from one arena: their many private ones cost megabytes of a Pi."""
    import ctypes  # noqa: PLC0415 - see the module's first line

    m_arena_max = -8  # malloc.h
    # Another C library than glibc has no arenas to limit.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(m_arena_max, 1)


def _forward_logging(write: Callable[[str, Mapping[str, object]], None]) -> None:
    """Sources log by the standard library: event name as message, fields as `extra`."""
    import logging  # noqa: PLC0415 - see the module's first line

    plain = set(vars(logging.makeLogRecord({})))

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = {name: value for name, value in vars(record).items() if name not in plain}
            write(record.getMessage(), fields)

    logger = logging.getLogger("edge_agent")
    logger.addHandler(Forward())
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _write_json(event: str, fields: Mapping[str, object]) -> None:
    sys.stderr.write(json.dumps({"event": event, **fields}, default=str) + "\n")
    sys.stderr.flush()


_SENTENCES = {
    "captured": "{type} {lane} {gen}.{n} stored",
    "batch_sent": "{count} {lane} events sent",
    "batch_receipted": "{count} {lane} events proven on the ledger from #{first_index}",
    "agent_ready": "ready: {device}, {sources} sources",
    "delivery_failed": "lane {lane} waits: {why}, attempt {failures}",
    "keyset_renewed": "the hub has new keys: its key set {version} is believed now",
    "keyset_refused": "a key set of the hub is not believed: {why}",
    "key_rotated": "the box's key was followed by {keyid}",
    "key_refused": "the hub does not take this box's next key ({code})",
    "lane_halted": "lane {lane} is halted: the hub refuses its batch ({code})",
    "buffer_damaged": "the buffer is damaged ({reason}); the file is kept as {copy}",
    "buffer_salvaged": "{events} events salvaged, {missing} missing, generation {gen}",
    "thread_failed": "{thread} failed ({why}); again in {restart_ms} ms",
}


def _write_text(event: str, fields: Mapping[str, object]) -> None:
    template = _SENTENCES.get(event)
    if template is None:
        line = " ".join([event, *(f"{name}={value}" for name, value in fields.items())])
    else:
        line = template.format_map(fields)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@main.command()
@_config_option
@click.option("--hub", metavar="URL", help="The hub's address. [default: hub_url of the settings]")
@click.option("--code", metavar="CODE", help="The invitation, copied whole.")
@click.option("--rotate", is_flag=True, help="Instead: follow this box's key with a new one.")
def enroll(hub: str | None, code: str | None, rotate: bool) -> None:  # noqa: FBT001 - as below
    """Join a hub with a one-use code; the key is made here and stays here."""
    if rotate == (code is not None):
        raise click.UsageError("give --code CODE, or --rotate for a box that is enrolled")
    if code is None:
        _rotate()
        return
    from edge_agent.hub_link import enroll as join  # noqa: PLC0415 - as above
    from edge_agent.timekeeping import Timekeeper  # noqa: PLC0415 - as above
    from edge_agent.transports import SessionTransport  # noqa: PLC0415 - see the module's first line
    from shared.clock import SystemClock  # noqa: PLC0415 - as above

    config = _config()
    clock = SystemClock()
    try:
        identity = join(
            config.state_dir,
            hub or config.hub_url,
            code,
            version=VERSION,
            clock=clock,
            timekeeper=Timekeeper(clock),
            transport=SessionTransport(config.delivery.timeout_ms),
        )
    except AgentError as error:
        raise _Failed(str(error)) from error
    click.echo(f"enrolled as {identity.device} of dealer {identity.dealer}")


def _rotate() -> None:
    from edge_agent import identity as identities  # noqa: PLC0415 - see the module's first line

    config = _config()
    try:
        identity = identities.load(config.state_dir)
        identities.KeyFiles(config.state_dir).make()
    except (AgentError, OSError) as error:
        raise _Failed(str(error)) from error
    click.echo(f"a new key of {identity.device} waits; the agent sends it when it is next idle")


@main.command()
@_config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(as_json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """How this box is, read beside the running agent without disturbing it."""
    found = _status(_config())
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name:<20} {_plain(value)}")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key}: {_plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return "  ".join(_plain(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _status(config: "AgentConfig") -> dict[str, Any]:
    from edge_agent import identity as identities  # noqa: PLC0415 - see the module's first line
    from edge_agent.buffer import status as buffer_status  # noqa: PLC0415 - as above

    found: dict[str, Any] = {"enrolled": False, "device": None, "dealer": None}
    try:
        identity = identities.load(config.state_dir)
        found.update(enrolled=True, device=identity.device, dealer=identity.dealer)
        following = identities.KeyFiles(config.state_dir).waiting()
        found["key"] = {
            "keyid": identity.key.public.keyid,
            "next": None if following is None else following.public.keyid,
        }
    except AgentError as error:
        found["why"] = str(error)
    found["hub_url"] = config.hub_url
    found["running"] = _running(config.state_dir)
    found["quarantined"] = [
        str(path) for path in sorted((config.state_dir / "quarantine").glob("*/*.db"))
    ]
    if config.buffer_path.exists():
        try:
            found.update(buffer_status.read(config.buffer_path))
        except AgentError as error:
            raise _Failed(str(error)) from error
    return found


def _running(state_dir: Path) -> bool:
    """Whether the process that wrote the lock file is alive."""
    try:
        process = int((state_dir / "agent.lock").read_text(encoding="ascii"))
        return "edge_agent" in _command_line(process) or "kickstand" in _command_line(process)
    except (OSError, ValueError):
        return False


def _command_line(process: int) -> str:
    return (
        Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    )


@main.group()
@_config_option
def buffer() -> None:
    """Look at what could not be read or had to be moved aside."""


@buffer.command("list")
@_config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def buffer_list(as_json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Unreadable inputs (newest first) and quarantined buffers."""
    from edge_agent.buffer import status as buffer_status  # noqa: PLC0415 - as above

    config = _config()
    found = {
        "rejected": _checked(lambda: buffer_status.rejected(config.buffer_path)),
        "quarantined": [
            {"path": str(path), "bytes": path.stat().st_size}
            for path in sorted((config.state_dir / "quarantine").glob("*/*.db"))
        ],
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    for row in found["rejected"]:
        click.echo(f"{row['id']:>6}  {row['source']:<16} {row['bytes']:>5} bytes  {row['reason']}")
    for item in found["quarantined"]:
        click.echo(f"quarantined  {item['path']}  {item['bytes']} bytes")


@buffer.command("tables")
@_config_option
@click.argument("table", required=False)
def buffer_tables(table: str | None) -> None:
    """The buffer's tables, or the newest rows of one as JSON lines; the agent is not disturbed."""
    from edge_agent.buffer import tables  # noqa: PLC0415 - as above

    path = _config().buffer_path
    if table is not None:
        for row in _checked(lambda: list(tables.newest_rows(path, table))):
            click.echo(json.dumps(row))
        return
    for found in _checked(lambda: tables.list_tables(path)):
        click.echo(f"{found['table']:<16} {found['rows']:>9} rows  {', '.join(found['columns'])}")


@buffer.command("inspect")
@_config_option
@click.argument("number", type=int)
def buffer_inspect(number: int) -> None:
    """Print one unreadable input as hex, for `decode`. It may hold a buyer's data: keep it here."""
    from edge_agent.buffer import status as buffer_status  # noqa: PLC0415 - as above

    raw = _checked(lambda: buffer_status.rejected_raw(_config().buffer_path, number))
    if raw is None:
        raise _Failed(f"there is no rejected input {number}: see `kickstand-agent buffer list`")
    click.echo(raw.hex())


@buffer.command("export")
@_config_option
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
def buffer_export(source: Path, target: Path) -> None:
    """Write every readable event of a buffer file (also a damaged one) as JSON lines.

    TARGET must not exist; nothing is written to SOURCE.
    """
    from edge_agent.buffer.salvage import readable_events  # noqa: PLC0415 - as above

    count = 0
    try:
        with target.open("xb") as file:
            for event in readable_events(source):
                file.write(event + b"\n")
                count += 1
    except FileExistsError as error:
        raise _Failed(f"{target} is there already: name a new file") from error
    except OSError as error:
        raise _Failed(f"{count} events read, then: {error}") from error
    if not count:
        target.unlink()
        raise _Failed(f"not one event can be read in {source}: is it a buffer?")
    click.echo(f"{count} events written to {target}")


def _checked(read: Any) -> Any:
    try:
        return read()
    except AgentError as error:
        raise _Failed(str(error)) from error


@main.command()
@_config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Check this box, offline too; every finding says what to do. Exit 1 if something is wrong."""
    from edge_agent import doctor as doctors  # noqa: PLC0415 - as above

    findings = doctors.examine(
        click.get_current_context().find_root().meta.get("config", DEFAULT_CONFIG)
    )
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{finding.verdict:<5} {finding.check:<22} {finding.detail}")
            if finding.fix:
                click.echo(f"{'':<28} → {finding.fix}")
    if any(finding.verdict == "wrong" for finding in findings):
        raise SystemExit(1)


@main.command()
@click.argument("protocol")
def decode(protocol: str) -> None:
    """Decode hex from stdin with PROTOCOL and print one JSON reading a line."""
    from edge_agent.codecs import catalogue  # noqa: PLC0415 - as above

    try:
        data = bytes.fromhex("".join(sys.stdin.read().split()))
        readings = catalogue.decode(protocol, data)
    except ValueError as error:
        raise _Failed(str(error)) from error
    for reading in readings:
        click.echo(json.dumps(reading))


if __name__ == "__main__":
    main(prog_name="kickstand-agent")
