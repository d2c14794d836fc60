"""Everything that can go wrong on the box, named after what happened.

AgentError
├── ConfigRefused            agent.toml cannot be used
├── NotEnrolled              this box has no identity yet
├── EnrolmentRefused         the code or the hub's answer was not acceptable
├── BufferError
│   ├── BufferFull           nothing was stored: the disk or the size limit is reached
│   ├── BufferBroken         the disk answers with errors; nothing was stored
│   ├── BufferDamaged        bytes came back wrong; the buffer salvages and goes on
│   └── CaptureRefused       this capture can never be stored
└── LinkError
    ├── HubUnreachable       no answer from the hub; the same bytes may be sent again
    │   └── AnswerUnproven   somebody answered, but not provably the hub
    │       └── KeyUnknown   signed, by a key that this box does not know (yet)
    └── HubRefused           the hub's signed refusal, with its code
"""

from shared.wire.problems import Problem


class AgentError(Exception):
    """Root of the agent's errors."""


class ConfigRefused(AgentError):
    """The settings cannot be used; the message names the key and what is known."""


class NotEnrolled(AgentError):
    """The box has no identity: run `kickstand-agent enroll`."""


class EnrolmentRefused(AgentError):
    """The box was not enrolled; the message says why and what to do next."""


class BufferError(AgentError):  # noqa: A001 - the agent's own buffer, never the builtin's
    """The buffer did not do what it was asked."""


class BufferFull(BufferError):
    """No room, even after shedding: nothing was stored, so the source must not acknowledge."""


class BufferBroken(BufferError):
    """The disk answers with errors: nothing was stored, so the source must not acknowledge."""


class BufferDamaged(BufferError):
    """Stored bytes came back wrong. Raised inside the buffer, which then salvages itself."""


class CaptureRefused(BufferError):
    """The capture is too large or malformed: putting it again can never succeed."""


class LinkError(AgentError):
    """An exchange with the hub did not succeed. `retryable`: can the same bytes succeed later?"""

    retryable = True


class HubUnreachable(LinkError):
    """No answer: name resolution, connection, TLS or a timeout."""


class AnswerUnproven(HubUnreachable):
    """An answer that is not provably the hub's (captive portal, proxy): a network failure."""


class KeyUnknown(AnswerUnproven):
    """An answer or a tree head whose key is not in the hub's key set as this box knows it."""


class HistoryLost(LinkError):
    """The hub's ledger is shorter than one it proved before: it must be restored first.

    `refilling`: a part of the ring was given back just now, and the next may follow at once.
    """

    def __init__(self, message: str, *, refilling: bool) -> None:
        super().__init__(message)
        self.refilling = refilling


class HubRefused(LinkError):
    """The hub's signed refusal.

    `retry_after_ms` is the hub's wish or None. `time_learned`: the refusal carried an authentic
    time that was taken, so the request may be signed again at once.
    """

    time_learned = False

    def __init__(self, problem: Problem, *, retry_after_ms: int | None = None) -> None:
        super().__init__(f"hub refused with {problem.status} {problem.code}: {problem.detail}")
        self.problem = problem
        self.retry_after_ms = retry_after_ms
        self.retryable = problem.status in {408, 425, 429} or problem.status >= 500

    @property
    def code(self) -> str:
        """The problem's code, such as ``clock-skew``."""
        return self.problem.code
