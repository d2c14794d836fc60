"""The project's own files, read once: what the tidy tests look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("shared", "edge_agent", "hub", "firmware_sim")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file of the project."""

    path: str
    """Relative to the project's root, with slashes."""

    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones included."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file below these folders of the root, in the order of their names."""
    return tuple(
        Module(path.relative_to(ROOT).as_posix(), text, ast.parse(text, filename=str(path)))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in [path.read_text(encoding="utf-8")]
    )


def product() -> tuple[Module, ...]:
    """What ships."""
    return modules(*PACKAGES)


def everything() -> tuple[Module, ...]:
    """What ships, what proves it, and what measures it."""
    return modules(*PACKAGES, "tests", "bench")
