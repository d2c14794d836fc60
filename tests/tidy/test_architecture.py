"""The order of the layers and the place of SQL are checked, not agreed upon."""

import ast
import re
import subprocess
import sysconfig
from pathlib import Path

from tests.tidy.tree import PACKAGES, ROOT, product

STATEMENT = re.compile(
    r"\s*(SELECT\s.+\sFROM\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s"
    r"|CREATE\s+(UNIQUE\s+)?(TABLE|INDEX|TRIGGER)\s)",
    re.DOTALL,
)
# The chaos simulator looks into a box's file with eyes of its own: that is its proof.
HOME_OF_SQL = re.compile(
    r"hub/(.+/)?store\.py|hub/store/.+|hub/ledger/.+|edge_agent/(buffer/.+|migrations\.py)"
    r"|firmware_sim/chaos/.+"
)


def test_every_arrow_points_down():
    """import-linter's contracts hold: programs meet in shared, features have an order, no cycles.

    A new folder or module fails here until it is given its place in pyproject.toml.
    """
    lint_imports = Path(sysconfig.get_path("scripts")) / "lint-imports"

    result = subprocess.run(
        [lint_imports, "--no-cache"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert 0 == result.returncode, result.stdout[result.stdout.find("Contracts") :]


def test_sql_stands_where_its_tables_are_owned():
    """SQL text is found in a feature's store.py, the ledger, the buffer and migrations only."""
    assert [] == [
        f"{module.path}:{node.lineno} {node.value.split()[0]}"
        for module in product()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and STATEMENT.match(node.value)
        and not HOME_OF_SQL.fullmatch(module.path)
    ]


def test_nothing_is_imported_late():
    """No import of our own inside a function: a lazy import hides a cycle from the linter.

    A program's commands may, so that `status` answers before a web server has been read; and
    the wiring, where a part is first asked for by the commands that need it.
    """
    assert [] == [
        f"{module.path}:{inner.lineno} {ast.unparse(inner)}"
        for module in product()
        if not module.path.endswith(("/__main__.py", "/commands.py", "hub/wiring.py"))
        for function in module.functions()
        for inner in ast.walk(function)
        if isinstance(inner, ast.ImportFrom) and (inner.module or "").split(".")[0] in PACKAGES
    ]


def test_every_folder_is_a_package():
    """A folder of Python without __init__.py would not ship: each has one, with its promise."""
    folders = {
        (ROOT / module.path).parent for module in product() if "/migrations/" not in module.path
    }

    assert [] == sorted(
        folder.relative_to(ROOT).as_posix()
        for folder in folders
        if not (folder / "__init__.py").is_file()
    )
