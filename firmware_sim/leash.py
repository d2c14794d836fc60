"""Start a program that cannot outlive us: `leash.py PARENT_PID PROGRAM ARGUMENT…`.

Run as a script by `firmware_sim.processes`, so it imports nothing of ours. The kernel's
parent-death signal survives the exec and reaches the program even when the parent is killed.
It belongs to the parent's thread, so programs are started from the main thread.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns: becomes the program."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have died before the call above; then nobody would ever tell us.
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the program is the purpose


if __name__ == "__main__":
    main()
