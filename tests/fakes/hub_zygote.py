"""Starts `kickstand-hub` processes fast: imports the program once and forks a process per start.

Reads lines from stdin: each is one start with these arguments. Writes the pid of the new process,
whose output goes where ours does. Each start is the whole program in a process of its own; only
the second of importing it is saved.

    python -m tests.fakes.hub_zygote
"""

import importlib
import os
import signal
import sys

from hub.__main__ import main

IMPORTED = ("hub.app", "hub.server", "hub.switchboard")
"""What `serve` imports when it runs."""


def start(arguments: list[str]) -> None:
    """Fork; the child never returns."""
    pid = os.fork()
    if pid:
        sys.stdout.write(f"pid {pid}\n")
        sys.stdout.flush()
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.argv = ["kickstand-hub", *arguments]
    try:
        main()
    finally:
        sys.stdout.flush()
        os._exit(0)


def serve_starts() -> None:
    """Until stdin ends. Dead children are reaped by the kernel."""
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        start(line.split())


if __name__ == "__main__":
    serve_starts()
