"""What a program tells the service manager that started it (sd_notify), without a library.

Outside systemd nobody listens and every message is a no-op, so programs send them always.
"""

import os
import socket
from collections.abc import Mapping
from typing import Self

# A status is one line on an operator's screen.
STATUS_CHARS_MAX = 200


class Notifier:
    """The datagram socket named by NOTIFY_SOCKET, or nobody.

    Every method answers whether somebody was told, and raises OSError when the service manager
    named a socket that cannot be reached: systemd would soon kill a service it does not hear.
    """

    def __init__(self, address: str | None, *, watchdog_ms: int | None = None) -> None:
        """Tell `address` (a path, or an abstract name after `@`); None tells nobody.

        `watchdog_ms`: the service is killed when watchdog() is not called for that long.
        """
        self._address = address
        self.watchdog_ms = watchdog_ms

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read what systemd hands to a service of Type=notify."""
        address = environment.get("NOTIFY_SOCKET") or None
        return cls(address, watchdog_ms=_watchdog_ms(environment) if address else None)

    def ready(self, status: str = "") -> bool:
        """Say that the service does its work from now on: what waits for it may start."""
        return self._tell("READY=1", status)

    def stopping(self, status: str = "") -> bool:
        """Say that the service is going down on purpose."""
        return self._tell("STOPPING=1", status)

    def watchdog(self) -> bool:
        """Say that real progress was made; call it at least every half of `watchdog_ms`."""
        return self._tell("WATCHDOG=1")

    def status(self, status: str) -> bool:
        """Put one line into `systemctl status`. It is public: ids and counts only."""
        return self._tell("", status)

    def _tell(self, assignment: str, status: str = "") -> bool:
        if self._address is None:
            return False
        lines = [assignment] if assignment else []
        if status:
            # A line break would start an assignment of its own.
            lines.append("STATUS=" + " ".join(status.split())[:STATUS_CHARS_MAX])
        target = self._address
        if target.startswith("@"):
            target = "\0" + target[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto("\n".join(lines).encode(), target)
        return True


def _watchdog_ms(environment: Mapping[str, str]) -> int | None:
    """WATCHDOG_USEC in ms when it is meant for this process, else None."""
    interval_us = environment.get("WATCHDOG_USEC", "")
    meant_for = environment.get("WATCHDOG_PID", "")
    if not interval_us.isdecimal() or meant_for not in ("", str(os.getpid())):
        return None
    return int(interval_us) // 1000 or None
