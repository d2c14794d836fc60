"""Breaks one line of one module in memory, again and again, and says which tests notice.

    python -m tests.checks.mutation TEST_FILE < mutations.json

Reads a list of [module, old, new] and prints a list of pytest's exit codes (1: a test failed, as
it should; 3: the line is not there). Each case runs in a forked child, after pytest and the
libraries were loaded once and before any module of ours is. No file is changed.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

OPTIONS = ["-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider", "-c", os.devnull]
OPTIONS += ["--import-mode=importlib", "--noconftest", "-x", "-q", "-m", "not hypothesis"]
# The same claim on every single bit: too slow to repeat for each mutation.
OPTIONS += ["-k", "not every_single_bit"]
LOADED_ONCE = ["pytest", "hypothesis", "_hypothesis_pytestplugin", "orjson", "zstandard"]
LOADED_ONCE += ["http_message_signatures", "cryptography.hazmat.primitives.serialization"]


class BreakOneLine(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from its source with one replacement; all others as ever."""

    def __init__(self, module: str, old: str, new: str) -> None:
        """Raises LookupError unless `old` occurs exactly once."""
        self.module = module
        path = Path(module.replace(".", "/") + ".py")
        source = path.read_text()
        if source.count(old) != 1:
            raise LookupError(f"{module} holds {source.count(old)} times: {old}")
        self.code = compile(source.replace(old, new), str(path), "exec")

    def find_spec(
        self,
        fullname: str,
        _path: Sequence[str] | None,
        _target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """The broken module; None for every other."""
        if fullname != self.module:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the broken source in the module."""
        exec(self.code, module.__dict__)  # noqa: S102 - our own source, one line changed


def outcome(test_file: str, module: str, old: str, new: str) -> int:
    """Pytest's exit code with this one line broken; runs in a child of its own."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        sys.meta_path.insert(0, BreakOneLine(module, old, new))
        code = int(sys.modules["pytest"].main([*OPTIONS, test_file]))
    except LookupError:
        code = 3
    os._exit(code)


def main() -> None:
    """Print the exit codes of all mutations on standard input."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in LOADED_ONCE:
        importlib.import_module(name)
    mutations = json.load(sys.stdin)
    codes = [outcome(sys.argv[1], *mutation) for mutation in mutations]
    sys.stdout.write(json.dumps(codes))


if __name__ == "__main__":
    main()
