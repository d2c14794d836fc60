"""How a till is spoken with: KPOS/1 answers every message, a printer's stream answers nothing."""

from dataclasses import dataclass
from typing import Protocol

from edge_agent.codecs import escpos, kpos
from edge_agent.codecs.receipt_template import Template
from edge_agent.codecs.redaction import redact_bytes
from edge_agent.codecs.till import MalformedTillMessage, TillMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One thing a till said: a message, or `why` it is none and what may be kept of it."""

    message: TillMessage | None
    at_ms: int
    """Monotonic time of its first byte."""

    size_bytes: int
    seq: int | None = None
    why: str = ""
    kept: bytes = b""


class Dialect(Protocol):
    """One line's state."""

    repeats: bool
    """Whether the till says it again when it gets no answer."""

    def feed(self, chunk: bytes, at_ms: int) -> list[Heard]:
        """What became complete with `chunk`, which was read at `at_ms`."""
        ...

    def lost(self) -> list[Heard]:
        """The line broke: what was half heard."""
        ...

    def stored(self, heard: Heard) -> bytes:
        """What to tell the till now that the message is on disk."""
        ...

    def refused(self, heard: Heard) -> bytes:
        """What to tell the till about something that could not be read."""
        ...


class Kpos:
    """KPOS/1."""

    repeats = True

    def __init__(self) -> None:
        """A fresh line."""
        self._decoder = kpos.Decoder()

    def feed(self, chunk: bytes, at_ms: int) -> list[Heard]:
        """See Dialect."""
        return [self._hear(item) for item in self._decoder.feed(chunk, at_ms)]

    @staticmethod
    def _hear(item: kpos.Frame | kpos.Unreadable) -> Heard:
        at_ms, size_bytes = item.at_ms, item.size_bytes
        if isinstance(item, kpos.Unreadable):
            kept = redact_bytes(item.raw)
            return Heard(message=None, at_ms=at_ms, size_bytes=size_bytes, why=item.why, kept=kept)
        try:
            message = kpos.parse(item.payload)
        except MalformedTillMessage as error:
            return Heard(
                message=None,
                at_ms=at_ms,
                size_bytes=size_bytes,
                seq=error.seq,
                why=error.why,
                kept=redact_bytes(item.payload),
            )
        return Heard(message=message, at_ms=at_ms, size_bytes=size_bytes, seq=message.seq)

    def lost(self) -> list[Heard]:
        """Half a frame is worth nothing: the till sends it again."""
        self._decoder = kpos.Decoder()
        return []

    def stored(self, heard: Heard) -> bytes:
        """See Dialect."""
        return b"" if heard.seq is None else kpos.ack(heard.seq)

    def refused(self, heard: Heard) -> bytes:
        """Noise is not answered: the till did not speak."""
        return b"" if heard.why == "noise" else kpos.nak(heard.seq, heard.why)


class EscPos:
    """A receipt printer's stream, read by a maker's template."""

    repeats = False

    def __init__(self, template: Template) -> None:
        """A fresh line."""
        self._template = template
        self._decoder = escpos.Decoder(template.code_page)

    def feed(self, chunk: bytes, at_ms: int) -> list[Heard]:
        """See Dialect."""
        return [self._hear(receipt) for receipt in self._decoder.feed(chunk, at_ms)]

    def lost(self) -> list[Heard]:
        """Half a receipt is evidence, and never a sale."""
        return [self._hear(receipt) for receipt in self._decoder.abandon()]

    def _hear(self, receipt: escpos.Receipt) -> Heard:
        message, why = None, "interrupted"
        if receipt.cut:
            try:
                message, why = self._template.read(receipt.lines), ""
            except MalformedTillMessage as error:
                why = error.why
        kept = b"" if message else redact_bytes("\n".join(receipt.lines).encode())
        return Heard(
            message=message,
            at_ms=receipt.at_ms,
            size_bytes=receipt.size_bytes,
            why=why,
            kept=kept,
        )

    def stored(self, heard: Heard) -> bytes:  # noqa: ARG002 - see Dialect
        """A printer says nothing."""
        return b""

    def refused(self, heard: Heard) -> bytes:  # noqa: ARG002 - see Dialect
        """A printer says nothing."""
        return b""
