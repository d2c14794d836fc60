"""The store's broker: reached, and set up so that nothing waits in vain or speaks for another.

Nobody signs in here: under the agent's name that would end the running agent's connection.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from edge_agent.config import AgentConfig, MqttConfig
from edge_agent.doctor.finding import Finding, good, note, wrong
from edge_agent.doctor.machine import Machine, read_text

CONNECT_S = 5
SETTINGS = "/etc/mosquitto/mosquitto.conf"
SETTINGS_FOLDER = "/etc/mosquitto/conf.d"
IN_FLIGHT_MIN = 100
"""With fewer under way, a commit waits for company that the broker holds back."""
_HEARS = ("telemetry", "state", "ack")


def reach(config: AgentConfig, _machine: Machine) -> Iterator[Finding]:
    """Whether it listens, and whether our password can be read."""
    mqtt = config.mqtt
    if mqtt is None:
        return
    try:
        socket.create_connection((mqtt.host, mqtt.port), timeout=CONNECT_S).close()
    except OSError as error:
        yield wrong("broker", str(error), "systemctl status mosquitto")
    else:
        yield good("broker", f"{mqtt.host}:{mqtt.port} answers")
    if mqtt.password_file is not None:
        yield _password(mqtt.password_file)


def _password(path: Path) -> Finding:
    check = "broker password"
    if not os.access(path, os.R_OK):
        fix = "write it there, for the agent's user to read: chmod 600"
        return wrong(check, f"{path} cannot be read", fix)
    mode = path.stat().st_mode & 0o777
    if mode & 0o007:
        return wrong(check, f"{path} is open to everybody (mode {mode:o})", f"chmod o= {path}")
    return good(check, f"{path} mode {mode:o}")


def access(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """The broker's access list, where it is on this machine and ours to read."""
    mqtt = config.mqtt
    path = None if mqtt is None else _stated(machine, "acl_file")
    text = None if path is None else machine.read(path)
    if mqtt is None or path is None or text is None:
        return
    user = mqtt.username or mqtt.client_id
    granted = _granted(text, user)
    needed = [("read", f"scooter/+/{kind}") for kind in _HEARS]
    needed += [("write", "scooter/+/cmd"), ("write", f"scooter/{user}/ack")]
    missing = [
        f"topic {way} {topic}"
        for way, topic in needed
        if not any(way in ways and _covers(rule, topic) for ways, rule in granted)
    ]
    if missing:
        fix = f"add to {path} below `user {user}`: {missing[0]}; systemctl reload mosquitto"
        yield wrong("broker access", f"missing: {'; '.join(missing)}", fix)
    else:
        yield good("broker access", f"{user} may hear scooters and wake them")
    if mqtt.authenticated_by == "broker":
        yield _bound(path, text)


def _bound(path: str, text: str) -> Finding:
    """Whether a scooter can speak for itself alone, as the settings say of every event."""
    check, user = "broker names", ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["user"]:
            user = " ".join(words[1:])
        elif words[:1] == ["topic"] and not user and "read" not in words[1:2]:
            fix = f'remove `{line.strip()}` from {path}, or say authenticated_by = "none"'
            return wrong(check, "whoever has not signed in may write", fix)
    bound = [line for line in text.splitlines() if line.startswith("pattern") and "/%u/" in line]
    if bound:
        return good(check, "each scooter writes under its own name")
    fix = f"add to {path}: pattern write scooter/%u/telemetry, and state, and ack"
    return wrong(check, "no rule binds a scooter to its own topics", fix)


def _granted(text: str, user: str) -> list[tuple[frozenset[str], str]]:
    """(ways, topic filter) of everything the list lets this user do."""
    found: list[tuple[frozenset[str], str]] = []
    current = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["user"]:
            current = " ".join(words[1:])
        elif len(words) > 1 and (
            words[0] == "pattern" or (words[0] == "topic" and current == user)
        ):
            has_way = words[1] in {"read", "write", "readwrite"} and len(words) > 2
            way, rule = (words[1], words[2]) if has_way else ("readwrite", words[1])
            ways = frozenset({"read", "write"} if way == "readwrite" else {way})
            found.append((ways, rule.replace("%u", user).replace("%c", user)))
    return found


def _covers(rule: str, topic: str) -> bool:
    """Whether every topic that `topic` means is one of those that `rule` means."""
    parts = rule.split("/")
    for position, wanted in enumerate(topic.split("/")):
        if position >= len(parts):
            return False
        if parts[position] == "#":
            return True
        if parts[position] not in {"+", wanted}:
            return False
    return len(parts) == len(topic.split("/"))


def settings(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """What Mosquitto must be told, where its settings are on this machine."""
    mqtt = config.mqtt
    if mqtt is None or not _files(machine):
        return
    yield _admission(machine, mqtt)
    shipped = "copy systemd/mosquitto/kickstand.conf to /etc/mosquitto/conf.d"
    if _stated(machine, "persistence") == "true":
        yield good("broker memory", "what it has accepted is written to disk")
    else:
        detail = "it forgets what waits when it restarts"
        yield wrong("broker memory", detail, f"persistence true; or {shipped}")
    limit = _stated(machine, "max_inflight_messages") or "20"
    if limit.isdecimal() and 0 < int(limit) < IN_FLIGHT_MIN:
        detail = f"{limit} messages under way at once: commits are small and many"
        yield note("broker window", detail, f"max_inflight_messages 500; or {shipped}")
    else:
        yield good("broker window", f"{limit} messages under way at once")


def _admission(machine: Machine, mqtt: MqttConfig) -> Finding:
    check = "broker sign-in"
    if _stated(machine, "allow_anonymous") == "true" and mqtt.authenticated_by == "broker":
        fix = 'allow_anonymous false, or say authenticated_by = "none"'
        return wrong(check, "everybody may sign in, and events say `broker`", fix)
    if _stated(machine, "use_username_as_clientid") != "true":
        fix = "use_username_as_clientid true"
        return note(check, "a scooter can take over the agent's session by its client id", fix)
    return good(check, "a client is who it signed in as")


def _files(machine: Machine) -> list[Path]:
    main = [path for path in [machine.at(SETTINGS)] if path.exists()]
    return main + machine.matching(SETTINGS_FOLDER, "*.conf")


def _stated(machine: Machine, name: str) -> str | None:
    """The last value of one of Mosquitto's settings."""
    value = None
    for path in _files(machine):
        for line in (read_text(path) or "").splitlines():
            words = line.split(maxsplit=1)
            if len(words) == 2 and words[0] == name:
                value = words[1].strip()
    return value
