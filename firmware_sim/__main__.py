"""`kickstand-sim`: simulated hardware for a terminal, from one till to a whole network."""

import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Literal

import click

from firmware_sim.broker import BrokerKind
from firmware_sim.demo import DemoPlan, run_demo
from firmware_sim.errors import SimulationError
from firmware_sim.fleet import fleet_plan
from firmware_sim.one_store import Visit, trade
from firmware_sim.scooter_radio import Credentials
from firmware_sim.standalone import ride_alone, sell_alone
from firmware_sim.store import StorePlan

DEMO_SECONDS = "DEMO_SECONDS"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulated tills, scooters and stores. Every list it compares with is its own."""


def _finish(plan: DemoPlan) -> None:
    sys.exit(run_demo(plan, tell=click.echo, finish=click.echo))


def _seconds(_context: click.Context, _option: click.Parameter, value: int | None) -> int | None:
    """The option, else the environment. A malformed environment is a usage error."""
    text = os.environ.get(DEMO_SECONDS, "").strip()
    if value is not None or not text:
        return value
    if not text.isdigit() or int(text) == 0:
        raise click.UsageError(f"{DEMO_SECONDS} must be a whole number of seconds, got {text!r}")
    return int(text)


seconds_option = click.option(
    "--seconds",
    type=click.IntRange(min=1),
    callback=_seconds,
    help=f"End after so many seconds of trade (also {DEMO_SECONDS}); default: run until Ctrl-C.",
)
seed_option = click.option("--seed", default=1, show_default=True, help="What happens when.")


@main.command()
@seconds_option
@seed_option
@click.option("--broker", type=click.Choice(["mosquitto", "amqtt"]), help="Default: the best here.")
@click.option(
    "--outages/--no-outages",
    default=None,
    help="Let hub and power fail, too. Default: in a run of a minute or more.",
)
@click.option(
    "--leads/--no-leads",
    default=True,
    show_default=True,
    help="Customers write on WhatsApp, and reps race for them.",
)
@click.option("--keep", is_flag=True, help="Leave the folder with logs and databases.")
def demo(
    *,
    seconds: int | None,
    seed: int,
    broker: BrokerKind | None,
    outages: bool | None,
    leads: bool,
    keep: bool,
) -> None:
    """Two stores against a hub: every step of a sale, live, and at the end the account.

    The last line is a JSON object; the exit code is 1 when anything was lost or doubled.
    """
    _finish(
        DemoPlan(seconds=seconds, seed=seed, broker=broker, outages=outages, leads=leads, keep=keep)
    )


@main.command()
@click.option("--stores", default=10, show_default=True, type=click.IntRange(1, 500))
@click.option("--hurry", default=60, show_default=True, help="How many times faster than life.")
@seconds_option
@seed_option
def fleet(stores: int, hurry: int, seconds: int | None, seed: int) -> None:
    """A network of stores, each with an agent of its own, trading calmly."""
    _finish(fleet_plan(stores=stores, seconds=seconds, seed=seed, hurry=hurry))


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=stop.set).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    return stop


@main.command()
@click.option("--port", required=True, type=click.Path(path_type=Path), help="Path of the cable.")
@click.option("--dialect", default="kpos", type=click.Choice(["kpos", "escpos"]))
@click.option("--every-s", default=5.0, show_default=True, help="Seconds between two sales.")
@click.option("--count", type=int, help="End after so many sales.")
@seed_option
def pos(
    *, port: Path, dialect: Literal["kpos", "escpos"], every_s: float, count: int | None, seed: int
) -> None:
    """One till on a pty; point an agent's [[tills]] port at it."""
    sell_alone(
        port=port,
        dialect=dialect,
        every_ms=int(every_s * 1000),
        count=count,
        seed=seed,
        tell=click.echo,
        stop=_stop_on_signal(),
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=1883, show_default=True)
@click.option("--serial", required=True, help="Also the name it signs in with.")
@click.option("--password-file", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--every-s", default=5.0, show_default=True, help="Seconds between two reports.")
def scooter(*, host: str, port: int, serial: str, password_file: Path, every_s: float) -> None:
    """One scooter on a broker: asleep until its sale wakes it."""
    password = password_file.read_text(encoding="utf-8").strip()
    ride_alone(
        host=host,
        port=port,
        credentials=Credentials(username=serial, password=password),
        every_ms=int(every_s * 1000),
        tell=click.echo,
        stop=_stop_on_signal(),
    )


@main.command()
@click.option("--hub", "hub_url", required=True, help="http(s)://… of the hub.")
@click.option("--code", required=True, help="From `kickstand-hub device invite`.")
@click.option("--dealer", required=True, help="The dealer that was invited.")
@click.option("--dialect", default="kpos", type=click.Choice(["kpos", "escpos"]))
@click.option("--every-s", default=5.0, show_default=True, help="Seconds between two sales.")
@seconds_option
@seed_option
def store(
    *,
    hub_url: str,
    code: str,
    dealer: str,
    dialect: Literal["kpos", "escpos"],
    every_s: float,
    seconds: int | None,
    seed: int,
) -> None:
    """One whole store against a hub that runs already."""
    visit = Visit(
        hub_url=hub_url,
        code=code,
        plan=StorePlan(dealer=dealer, dialect=dialect, seed=seed),
        every_ms=int(every_s * 1000),
        length_ms=None if seconds is None else seconds * 1000,
    )
    try:
        trade(visit, tell=click.echo, stop=_stop_on_signal())
    except SimulationError as error:
        raise click.ClickException(str(error)) from error


@main.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.pass_context
def chaos(context: click.Context) -> None:
    """Seeded fault simulation of agent and hub: chaos --seeds N."""
    try:
        module = importlib.import_module("firmware_sim.chaos")
    except ModuleNotFoundError:
        raise click.ClickException("this installation has no chaos simulation") from None
    module.main(args=context.args, standalone_mode=True)


if __name__ == "__main__":
    main(prog_name="kickstand-sim")
