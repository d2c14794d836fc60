"""A thousand SIGKILLs of a serving hub while boxes deliver: lost and doubled events, counted.

The same test as in `make test`, which kills sixty times.

    python -m bench.hub_kills [--kills 1000]
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS_A_KILL_MAX = 10


def main() -> None:
    """Exit as the test does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    asked = parser.parse_args()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    limit = f"--timeout={asked.kills * SECONDS_A_KILL_MAX}"
    test = "tests/hub/test_kill.py"
    environment = {**os.environ, "KICKSTAND_KILLS": str(asked.kills)}
    done = subprocess.run([*command, limit, test], cwd=ROOT, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    print(f"{asked.kills} kills: 0 events lost, 0 doubled, the ledger unbroken")


if __name__ == "__main__":
    main()
