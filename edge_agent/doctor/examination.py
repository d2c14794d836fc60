"""The order of the checks: as a technician would mend, from the settings outwards."""

from collections.abc import Callable, Iterator
from pathlib import Path

from edge_agent import config as configs
from edge_agent.config import AgentConfig
from edge_agent.doctor import board, broker, card, hub, ports, service, state
from edge_agent.doctor.finding import Finding, good, wrong
from edge_agent.doctor.machine import Machine
from edge_agent.errors import AgentError

Check = Callable[[AgentConfig, Machine], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    state.folder,
    state.key,
    state.enrolment,
    card.file_system,
    card.faults,
    card.life,
    card.latency,
    card.writers,
    board.power,
    board.heat,
    board.memory,
    board.clock,
    service.unit,
    service.watchdogs,
    service.process,
    ports.lines,
    ports.others,
    broker.reach,
    broker.access,
    broker.settings,
    hub.network,
    hub.reach,
    hub.certificate,
    hub.answer,
    state.buffer,
    state.sources,
)


def examine(config_path: Path, machine: Machine | None = None) -> list[Finding]:
    """Run every check that makes sense here, in the order in which a technician would mend."""
    try:
        config = configs.load(config_path)
    except AgentError as error:
        fix = "correct the file; every key is documented in docs/settings.md"
        return [wrong("settings", str(error), fix)]
    machine = machine or Machine()
    findings = [good("settings", str(config_path))]
    for check in CHECKS:
        findings.extend(check(config, machine))
    return findings
