"""A person at the box can look into the buffer's tables beside the running agent."""

import json

import pytest
from click.testing import CliRunner

from edge_agent.__main__ import main
from edge_agent.buffer import Buffer, Capture
from shared.clock import SystemClock
from shared.wire.events import Occurred

NOW = Occurred(wall_ms=None, err_ms=0, clock="none", boot="b1", mono_ms=5)


@pytest.fixture
def config(tmp_path):
    """Settings of a box whose buffer holds one fault, and is open."""
    path = tmp_path / "agent.toml"
    path.write_text(f'state_dir = "{tmp_path}"\nhub_url = "https://hub.example"\n')
    device = "dev_aaaaaaaaaaaaaaaaaaaaaaaaaa"
    buffer = Buffer(tmp_path / "buffer.db", device=device, clock=SystemClock(), now=lambda: NOW)
    data = {"serial": "KS9F2L7A8NJ004417", "code": "E21", "detail": None, "sale": None}
    buffer.put([Capture(type="scooter.fault", data=data, occurred=NOW)])
    yield path
    buffer.close()


def test_every_table_is_listed_with_its_rows(config):
    """What there is, and how much of it."""
    result = CliRunner().invoke(main, ["buffer", "tables", "--config", str(config)])

    assert 0 == result.exit_code, result.output
    [segment] = [line for line in result.output.splitlines() if line.startswith("segment ")]
    assert segment.split()[1:3] == ["1", "rows"]


def test_rows_are_json_and_bytes_stay_where_they_are(config):
    """Frames may hold a buyer's data: only their length is shown."""
    result = CliRunner().invoke(main, ["buffer", "tables", "frame", "--config", str(config)])

    assert 0 == result.exit_code, result.output
    [row] = [json.loads(line) for line in result.output.splitlines()]
    assert row["blob"].endswith(" bytes")


def test_an_unknown_table_names_the_known_ones(config):
    """One sentence, exit code 1."""
    result = CliRunner().invoke(main, ["buffer", "tables", "sales", "--config", str(config)])

    assert 1 == result.exit_code
    assert "there are" in result.output
    assert "segment" in result.output
