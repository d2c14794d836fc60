"""The sources of one box, built from its settings."""

from collections.abc import Callable
from typing import Final

from edge_agent.codecs import receipt_template
from edge_agent.codecs.scooter_payload import MalformedMapping
from edge_agent.config import AgentConfig, TillConfig
from edge_agent.errors import ConfigRefused
from edge_agent.sources.pos_serial import PosSerial
from edge_agent.sources.scooter_mqtt import ScooterMqtt
from edge_agent.sources.scooter_serial import ScooterSerial
from edge_agent.sources.source import Sink, Source, When
from edge_agent.sources.till_dialect import Dialect, EscPos, Kpos
from shared.clock import Clock

Publish = Callable[[str, bytes], bool]
_TEMPLATE_HELP: Final = "see docs/till-protocol.md"


def build(
    config: AgentConfig,
    *,
    sink: Sink,
    clock: Clock,
    when: When,
    encryption_key: bytes,
    on_sale: Callable[[], None],
) -> tuple[list[Source], Publish]:
    """All sources, and how to send a command to a scooter. Nothing is opened before `run`.

    Raises:
        ConfigRefused: a template or a payload mapping is none; the message names it.
    """
    sources: list[Source] = [
        PosSerial(
            till,
            _dialect(till),
            sink=sink,
            clock=clock,
            when=when,
            hub_public=lambda: encryption_key,
            on_sale=on_sale,
        )
        for till in config.tills
    ]
    sources += [
        ScooterSerial(port, sink=sink, clock=clock, when=when) for port in config.scooter_ports
    ]
    if config.mqtt is None:
        return sources, _nobody
    try:
        mqtt = ScooterMqtt(
            config.mqtt,
            sink=sink,
            clock=clock,
            when=when,
            telemetry_commit_ms=config.buffer.telemetry_commit_ms,
        )
    except MalformedMapping as error:
        raise ConfigRefused(str(error)) from error
    return [*sources, mqtt], mqtt.publish


def _nobody(_serial: str, _payload: bytes) -> bool:
    return False


def _dialect(till: TillConfig) -> Dialect:
    if till.dialect == "kpos":
        return Kpos()
    try:
        return EscPos(receipt_template.load(till.template or ""))
    except (receipt_template.MalformedTemplate, OSError) as error:
        raise ConfigRefused(f"till {till.name}: {error}; {_TEMPLATE_HELP}") from error
