"""What the pages say can be typed, clicked and found."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from tests.tidy.tree import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
MAKE = re.compile(r"\bmake ([a-z]+)\b")
SCRIPT = re.compile(r"\bscripts/([a-z]+)\b")
CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
# `kickstand-hub --config hub.toml ledger verify …`: the words that must be commands.
COMMAND = re.compile(r"(kickstand-[a-z]+)((?: +-{1,2}\S+ [^\s-]\S*)*)((?: +[a-z][a-z-]*)*)")
DECISION_HEADINGS = ["Decision", "Why", "What it costs", "Think again when"]

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def code(page: Path) -> str:
    """All that stands in code spans and blocks, a line each."""
    return "\n".join(block or span for block, span in CODE.findall(page.read_text()))


@each_page
def test_links_lead_somewhere(page):
    """Every link to a file of ours finds it."""
    targets = [target for target, _ in LINK.findall(page.read_text()) if "://" not in target]

    assert [] == [target for target in targets if not (page.parent / target).exists()]


@each_page
def test_what_is_to_be_made_can_be_made(page):
    """Every `make something` is a target of the Makefile, every script is there."""
    makefile = (ROOT / "Makefile").read_text()

    assert [] == [
        target
        for target in MAKE.findall(code(page))
        if not re.search(rf"^{target}:", makefile, re.MULTILINE)
    ]
    assert [] == [
        name for name in SCRIPT.findall(code(page)) if not (ROOT / "scripts" / name).is_file()
    ]


@each_page
def test_a_command_on_a_page_exists(page):
    """Every `kickstand-… word word` on a page names commands that the program has."""
    unknown = []
    for program, _, words in COMMAND.findall(code(page)):
        if program in PROGRAMS and not knows(root_command(program), words.split()):
            unknown.append(f"{program}{words}")

    assert [] == unknown


def root_command(program: str) -> click.Command:
    module = importlib.import_module(PROGRAMS[program].split(":")[0])
    found = {
        id(value): value for value in vars(module).values() if isinstance(value, click.Command)
    }
    children = {
        id(child)
        for command in found.values()
        if isinstance(command, click.Group)
        for child in command.commands.values()
    }
    roots = [command for key, command in found.items() if key not in children]
    assert len(roots) == 1
    return roots[0]


def knows(command: click.Command, words: list[str]) -> bool:
    """Whether the words lead down the tree of commands; what follows a leaf is an argument."""
    for word in words:
        if not isinstance(command, click.Group):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


def test_every_command_and_setting_is_documented():
    """docs/commands.md and docs/settings.md are what scripts/document would write today."""
    result = subprocess.run(
        [sys.executable, ROOT / "scripts" / "document", "--check"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ("", 0) == (result.stderr, result.returncode)


def test_every_decision_is_listed_and_whole():
    """A page of docs/decisions has a line in the table, a status, and the four headings."""
    folder = ROOT / "docs" / "decisions"
    pages = {page.name: page.read_text() for page in folder.glob("[0-9]*.md")}
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text())

    assert sorted(pages) == listed
    assert [] == [
        name
        for name, text in pages.items()
        if re.findall(r"^## (.+)$", text, re.MULTILINE) != DECISION_HEADINGS
        or not re.search(r"^Status: ", text, re.MULTILINE)
    ]


def test_the_changelog_keeps_its_form():
    """The newest section is Unreleased, and only Keep a Changelog's headings are used."""
    text = (ROOT / "CHANGELOG.md").read_text()
    known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == "[Unreleased]"
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= known


def test_the_first_screen_of_the_readme():
    """One sentence, the two commands, what they print: before any heading but the title."""
    first_screen = (ROOT / "README.md").read_text().split("\n## ")[0]

    assert "make demo" in first_screen
    assert "make test" in first_screen
    assert "demo output: begin" in first_screen
    assert first_screen.count("\n") < 60
