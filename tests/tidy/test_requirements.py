"""What is installed is exactly what was tested, from whatever index a machine is set to."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tidy.tree import ROOT

FILES = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*")
INCLUDED = re.compile(r"-r ([a-z]+\.txt)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def pins(file: Path) -> dict[str, str]:
    """Name to version of all that this file installs, included files too."""
    found: dict[str, str] = {}
    for line in lines(file):
        if included := INCLUDED.fullmatch(line):
            found |= pins(file.parent / included[1])
        else:
            name, version = line.split("==")
            found[name] = version
    return found


def test_each_extra_has_its_file():
    """Agent, hub, simulator and development are installed from a list of their own."""
    assert set(PROJECT["optional-dependencies"]) == {file.stem for file in FILES}


@each_file
def test_every_line_is_one_exact_version(file):
    """No range, no option, no address: only name==version and includes of the other files."""
    assert [] == [
        line for line in lines(file) if not PINNED.fullmatch(line) and not INCLUDED.fullmatch(line)
    ]


@each_file
def test_the_pins_are_what_the_extra_asks_for(file):
    """Every dependency that pyproject.toml names for this extra is pinned within its range."""
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][file.stem]]
    pinned = pins(file)

    assert [] == [
        f"{requirement} is not {pinned.get(canonicalize_name(requirement.name))}"
        for requirement in map(Requirement, wanted)
        if requirement.name != PROJECT["name"]
        and not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ]


@each_file
def test_the_tests_run_with_the_pinned_versions(file):
    """What is installed here is what the files say; `scripts/setup test` makes it so."""
    assert [] == [
        f"{name}=={version}, installed is {importlib.metadata.version(name)}"
        for name, version in pins(file).items()
        if importlib.metadata.version(name) != version
    ]
