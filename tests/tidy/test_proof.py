"""Tests are claims, made on real parts, that never wait for a clock."""

import ast
import re
from collections.abc import Iterator

from tests.tidy.tree import Function, Module, everything, modules

SLEEPS = {"time.sleep", "sleep", "asyncio.sleep"}


def claims() -> Iterator[tuple[Module, Function]]:
    for module in modules("tests"):
        if module.path.rsplit("/", 1)[-1].startswith("test_"):
            for function in module.functions():
                if function.name.startswith("test_"):
                    yield module, function


def test_every_test_states_its_claim():
    """A test is named after a behaviour, and its docstring says what must hold."""
    assert [] == [
        f"{module.path}:{function.lineno} {function.name}"
        for module, function in claims()
        if not ast.get_docstring(function)
    ]


def test_no_test_sleeps():
    """A test waits on an event or a condition with a deadline, so that it is fast and stable."""
    assert [] == [
        f"{module.path}:{node.lineno}"
        for module in modules("tests")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SLEEPS
    ]


def test_nothing_is_mocked():
    """Fakes with real sockets and real files stand in for the outside, not patched attributes."""
    assert [] == [
        module.path
        for module in everything()
        if re.search(r"^\s*(from|import) (unittest\.)?mock\b", module.text, re.MULTILINE)
    ]


def test_a_silenced_rule_says_why():
    """Each noqa and each type: ignore names its rule; a noqa also gives the reason."""
    silenced = [
        f"{module.path}:{number} {line.strip()}"
        for module in everything()
        for number, line in enumerate(module.text.splitlines(), start=1)
        if re.search(r"#\s*noqa(?!: [A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*\s+\S)", line)
        or re.search(r"#\s*type: ignore(?!\[)", line)
    ]

    assert [] == silenced


def test_an_error_is_never_swallowed_whole():
    """A handler for every Exception re-raises, or stands once at the top of a thread with a reason.

    Ruff's BLE001 finds the others; this one finds suppress(Exception), which it does not.
    """
    assert [] == [
        f"{module.path}:{node.lineno}"
        for module in everything()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and {"Exception", "BaseException"} & {ast.unparse(argument) for argument in node.args}
    ]
