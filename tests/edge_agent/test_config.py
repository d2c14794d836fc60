"""agent.toml: every way to be wrong is named with its key."""

from pathlib import Path
from typing import Any

import pytest

from edge_agent import config
from edge_agent.errors import ConfigRefused

WHOLE: dict[str, Any] = {
    "state_dir": "/var/lib/x",
    "hub_url": "https://hub.example",
    "buffer": {"bytes_max": 10_000_000, "telemetry_commit_ms": 500},
    "delivery": {"timeout_ms": 5000},
    "tills": [{"name": "till-1", "port": "/dev/serial/by-id/x"}],
    "mqtt": {"host": "127.0.0.1", "protocol": 3, "mapping": {"bat": "battery"}},
    "scooter_ports": [{"name": "bench-1", "port": "/dev/x", "protocol": "xiaomi55aa"}],
}


def test_a_whole_file_is_read() -> None:
    """Tables become frozen dataclasses, everything left out has its default."""
    found = config.parse(WHOLE)
    assert found.buffer_path == Path("/var/lib/x/buffer.db")
    assert found.tills[0].dialect == "kpos"
    assert found.tills[0].baud == 115_200
    assert found.mqtt is not None
    assert found.mqtt.mapping == {"bat": "battery"}
    assert found.delivery.prefer_wait_s == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hub": "x"}, "unknown key hub; known here: buffer, delivery"),
        ({"buffer": {"byte_max": 1}}, "unknown key buffer.byte_max; known here: bytes_max"),
        ({"hub_url": None}, "hub_url"),
        ({"hub_url": "hub.example"}, "hub_url: expected https://"),
        ({"hub_url": "https://hub.example/path"}, "hub_url"),
        ({"buffer": {"bytes_max": "1 GB"}}, "buffer.bytes_max: expected int, got '1 GB'"),
        ({"buffer": {"bytes_max": True}}, "buffer.bytes_max: expected int"),
        ({"buffer": {"bytes_max": 4096}}, "at least 4194304"),
        ({"buffer": {"ring_ms": 0}}, "buffer.ring_ms must be above 0"),
        ({"mqtt": {"protocol": 4}}, "mqtt.protocol: expected one of 3, 5"),
        ({"tills": {"name": "x"}}, "tills: expected"),
        ({"tills": [{"name": "x"}]}, "missing key tills[0].port"),
        ({"tills": [{"name": "x", "port": "p", "dialect": "escpos"}]}, "template belongs"),
        ({"tills": [{"name": "bench-1", "port": "p"}]}, "used twice: bench-1"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    """One sentence with the key and what was expected."""
    table = {name: value for name, value in (WHOLE | change).items() if value is not None}
    with pytest.raises(ConfigRefused) as caught:
        config.parse(table)
    assert said in str(caught.value)


def test_a_file_is_named_in_its_refusal(tmp_path: Path) -> None:
    """Missing, not TOML, not usable: the path stands in the message."""
    path = tmp_path / "agent.toml"
    for content in (None, "hub_url = ", "nonsense = 1", b"\xff"):
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            path.write_text(content)
        with pytest.raises(ConfigRefused) as caught:
            config.load(path)
        assert str(path) in str(caught.value)
