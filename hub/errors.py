"""Every error of the hub, drawn once.

HubError
├── ConfigError          the settings are wrong; says which key and which are known
├── StoreUnavailable     the database cannot be opened or has gone
├── AnotherSequencer     another process of this hub orders the ledger
├── WorkerEnded          the process that works beside `serve` ended by itself
├── Refused              an answer to whoever asked: a problem document with a stable code
└── LedgerCorrupt        what is stored does not prove what it has to
"""

from collections.abc import Mapping

from shared.wire.problems import Problem


class HubError(Exception):
    """Root of all of them."""


class ConfigError(HubError):
    """The settings are wrong."""


class StoreUnavailable(HubError):
    """The database cannot be opened."""


class AnotherSequencer(HubError):
    """Another process of this hub orders the ledger."""


class WorkerEnded(HubError):
    """The process that works beside `serve` ended by itself."""


class LedgerCorrupt(HubError):
    """What is stored does not prove what it has to."""


class Refused(HubError):
    """The request is refused for a reason its sender can act on."""

    def __init__(
        self, status: int, code: str, detail: str, extra: Mapping[str, object] | None = None
    ) -> None:
        """Keep the problem that will be answered."""
        super().__init__(detail)
        self.problem = Problem(status=status, code=code, detail=detail, extra=extra or {})
