"""docs/wire.md and docs/verify.md say what the code does: examples, fields, endpoints, codes."""

import io
import json
import re
import textwrap
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from hub.ledger.verifier import kickstand_verify
from tests.checks.wire_samples import event_names, golden, paths
from tests.golden.make import HERE

ROOT = Path(__file__).parent.parent.parent
WIRE = (ROOT / "docs" / "wire.md").read_text()
VERIFY = (ROOT / "docs" / "verify.md").read_text()
EXAMPLE = re.compile(r"<!-- (golden|http|verify): (.+?) -->\n```[a-z]*\n(.*?)\n```", re.DOTALL)
EXAMPLES = EXAMPLE.findall(WIRE + VERIFY)
SOURCES = ["hub/devices", "hub/ledger", "shared/http_signatures.py"]


def http_text(name: str, part: str) -> str:
    """Start line and headers of a golden message, as the page shows them."""
    message = json.loads(golden(f"http.{name}.json"))[part]
    if part == "request":
        query = f"?{message['query']}" if message["query"] else ""
        lines = [f"{message['method']} {message['path']}{query} HTTP/1.1"]
        lines.append(f"host: {message['authority']}")
    else:
        lines = [f"HTTP/1.1 {message['status']}"]
    return "\n".join([*lines, *(f"{k}: {v}" for k, v in message["headers"].items())])


def verified_text(name: str) -> str:
    """What the verifier prints about a golden file, wrapped as the page shows it."""
    key = json.loads(golden("keys.json"))["hub"]["ledger_vkey"]
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert kickstand_verify.main([str(HERE / name), "--key", key]) == 0
    lines = [f"$ python kickstand_verify.py {name} --key {key}", *printed.getvalue().splitlines()]
    return "\n".join(
        part
        for line in lines
        for part in textwrap.wrap(line, 98, subsequent_indent="    ", break_on_hyphens=False)
    )


def expected(kind: str, name: str) -> str:
    """The text an example has to have."""
    if kind == "http":
        return http_text(*name.split(" "))
    if kind == "verify":
        return verified_text(name)
    return (HERE / name).read_text().rstrip("\n")


@pytest.mark.parametrize(("kind", "name", "text"), EXAMPLES, ids=[e[1] for e in EXAMPLES])
def test_examples_are_the_golden_files(kind, name, text):
    """Byte for byte: an example that nobody can reproduce is worse than none."""
    assert expected(kind, name) == text


def test_every_kind_of_wire_bytes_has_an_example():
    """Event types, statement, seal, receipt, key set, checkpoint, cosignature, both profiles."""
    shown = {name for _, name, _ in EXAMPLES}
    wanted = {*event_names(), "statement.json", "seal.hex", "receipt.json", "keyset.json"}
    wanted |= {"checkpoint.txt", "cosignature.txt", "proof.tlog-proof"}
    wanted |= {
        f"{name} {part}" for name in ("batches-receipt", "time") for part in ("request", "response")
    }

    assert wanted <= shown


def test_every_field_is_described():
    """Each field of the golden wire JSON stands in the text outside the examples."""
    prose = re.sub(r"```.*?```", "", WIRE, flags=re.DOTALL)
    names = {
        str(step)
        for file in (*event_names(), "statement.json", "receipt.json")
        for path in paths(json.loads(golden(file)))
        if not {"backlog", "sources", "counters", "extra"} & set(path[:-1])
        for step in path
        if isinstance(step, str)
    }

    assert [] == sorted(name for name in names if f"`{name}`" not in prose)


def code_of_the_product() -> str:
    """The sources that refuse and route."""
    files = [
        file
        for source in SOURCES
        for file in ([ROOT / source] if source.endswith(".py") else (ROOT / source).glob("*.py"))
    ]
    return "\n".join(file.read_text() for file in files)


def test_every_code_is_in_the_table():
    """A code that a program may act on stands in wire.md."""
    code = code_of_the_product()
    codes = set(re.findall(r'Refused\(\s*(?:\d+,\s*)?"([a-z]+(?:-[a-z]+)+)"', code))

    assert len(codes) >= 20
    assert [] == sorted(name for name in codes if f"`{name}`" not in WIRE)


def test_every_route_of_the_boxes_and_auditors_is_in_the_table():
    """What answers under /v1 and /ledger for machines is written down."""
    devices = (ROOT / "hub" / "devices" / "routes.py").read_text()
    ledger = (ROOT / "hub" / "ledger" / "routes.py").read_text()
    routes = {f"/v1{path}" for path in re.findall(r'"(/[a-z/]+)"', devices) if path != "/v1"}
    routes |= {f"/ledger{path}" for path in re.findall(r'add_url_rule\("(/[a-z/]+?)/?["<]', ledger)}

    assert len(routes) >= 10
    assert [] == sorted(route for route in routes if route not in WIRE)


def test_every_option_of_the_verifier_is_described():
    """docs/verify.md names each option."""
    source = Path(kickstand_verify.__file__).read_text()
    options = set(re.findall(r'add_argument\("(--[a-z-]+)"', source))

    assert [] == sorted(option for option in options if option not in VERIFY)
