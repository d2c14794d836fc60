"""ESC/POS: a receipt printer's byte stream, read as the lines a person would see.

The stream has no framing and no checksum. Commands are skipped by their own length, so that the
bytes of a logo are never taken for text; a receipt is everything up to the paper cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LINE_CHARS_MAX: Final = 256
RECEIPT_LINES_MAX: Final = 1000
_DATA_BYTES_MAX: Final = 64

# How many argument bytes follow, by command. What carries data of its own length stands in
# `_length`. Epson's command reference is the source; makers' extensions use the same prefixes.
_ESC_ARGS: Final[Mapping[int, int]] = {
    **dict.fromkeys(b" !%-=?EGJKMRTVadert{3SfQuUB", 1),
    **dict.fromkeys(b"$\\c", 2),
    **dict.fromkeys(b"@2LimvFSZ<\x0c", 0),
    ord("p"): 3,
    ord("W"): 8,
    ord("S"): 0,
}
_GS_ARGS: Final[Mapping[int, int]] = {
    **dict.fromkeys(b"!#/BEHITabfhjrw", 1),
    **dict.fromkeys(b"$LPW\\^", 2),
    **dict.fromkeys(b":c", 0),
    ord("^"): 3,
    ord("z"): 3,
    ord("g"): 4,
}
_FS_ARGS: Final[Mapping[int, int]] = {
    **dict.fromkeys(b"!-CW", 1),
    **dict.fromkeys(b"pS", 2),
    **dict.fromkeys(b"&.", 0),
    ord("2"): 74,
}
_PREFIXES: Final[Mapping[int, str]] = {0x1B: "ESC", 0x1D: "GS", 0x1C: "FS", 0x10: "DLE"}
_CUT_WITH_FEED: Final = frozenset((65, 66, 97, 98, 103, 104))
_CODE_PAGES: Final[Mapping[int, str]] = {
    0: "cp437", 2: "cp850", 3: "cp860", 4: "cp863", 5: "cp865", 16: "cp1252", 17: "cp866",
    18: "cp852", 19: "cp858",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """Printable bytes and line ends, as sent."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """One command: prefix and letter (``GS V``), its arguments, and how many data bytes follow."""

    name: str
    args: bytes
    data_bytes: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether the paper is cut here."""
        return self.name in ("GS V", "ESC i", "ESC m")


def _u16(held: bytes, at: int) -> int:
    return held[at] | held[at + 1] << 8


def _fixed(held: bytes, table: Mapping[int, int]) -> tuple[int, int]:
    return 2 + table.get(held[1], 0), 0


def _esc(held: bytes) -> tuple[int, int]:
    letter = held[1]
    if letter == ord("("):
        return 5, _u16(held, 3)
    if letter == ord("*"):
        return 5, _u16(held, 3) * (3 if held[2] in (32, 33) else 1)
    if letter == ord("D"):
        return held.index(0, 2) + 1, 0
    if letter == ord("&"):
        return _user_characters(held)
    return _fixed(held, _ESC_ARGS)


def _user_characters(held: bytes) -> tuple[int, int]:
    size = 5
    for _ in range(held[3], held[4] + 1):
        size += 1 + held[2] * held[size]
    return size, 0


def _gs(held: bytes) -> tuple[int, int]:
    letter = held[1]
    if letter == ord("V"):
        return (4 if held[2] in _CUT_WITH_FEED else 3), 0
    if letter == ord("("):
        return 5, _u16(held, 3)
    if letter == ord("8"):
        return 7, _u16(held, 3) | _u16(held, 5) << 16
    if letter in b"vQ":
        return 8, _u16(held, 4) * _u16(held, 6)
    if letter == ord("*"):
        return 4, held[2] * held[3] * 8
    return _gs_rare(held)


def _gs_rare(held: bytes) -> tuple[int, int]:
    letter = held[1]
    if letter == ord("k"):  # bar code: old form ends with NUL, new form has a length
        return (held.index(0, 3) + 1, 0) if held[2] <= 6 else (4, held[3])
    if letter == ord("C"):
        return {0: 5, 48: 5, 1: 9, 49: 9, 2: 5, 50: 5}.get(held[2], 3), 0
    if letter == ord("D"):
        return 8, 0
    return _fixed(held, _GS_ARGS)


def _fs(held: bytes) -> tuple[int, int]:
    letter = held[1]
    if letter == ord("("):
        return 5, _u16(held, 3)
    if letter == ord("g"):
        return (10, 0) if held[2] == 50 else (10, _u16(held, 8))
    if letter == ord("q"):
        size = 3
        for _ in range(held[2]):
            size += 4 + _u16(held, size) * _u16(held, size + 2) * 8
        return size, 0
    return _fixed(held, _FS_ARGS)


def _dle(held: bytes) -> tuple[int, int]:
    letter = held[1]
    if letter == 0x04:  # status
        return (4 if held[2] in (7, 8, 18) else 3), 0
    if letter == 0x14:  # pulse, power off, buzzer, transmit, clear
        return {1: 5, 2: 5, 3: 8, 7: 4, 8: 10}.get(held[2], 3), 0
    return (3 if letter == 0x05 else 1), 0


_READERS: Final = {0x1B: _esc, 0x1D: _gs, 0x1C: _fs, 0x10: _dle}


class Tokenizer:
    """Text and commands of a stream, however it is cut into chunks. Graphics are never held."""

    def __init__(self) -> None:
        """Start between two commands."""
        self._held = b""
        self._skip_bytes = 0

    def feed(self, chunk: bytes) -> list[Text | Command]:
        """Everything that is complete now, in order."""
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(chunk))
            self._skip_bytes -= skipped
            chunk = chunk[skipped:]
        held = self._held + chunk
        tokens: list[Text | Command] = []
        at = 0
        while at < len(held):
            if held[at] in _READERS:
                size, data_bytes = self._measure(held[at : at + 70_000])
                if size == 0:
                    break
                name = f"{_PREFIXES[held[at]]} {chr(held[at + 1]) if size > 1 else ''}"
                args = held[at + 2 : at + min(size, 2 + _DATA_BYTES_MAX)]
                tokens.append(Command(name, args, data_bytes))
                at += size + data_bytes
            else:
                end = at + 1
                while end < len(held) and held[end] not in _READERS:
                    end += 1
                tokens.append(Text(held[at:end]))
                at = end
        self._skip_bytes += max(at - len(held), 0)
        self._held = held[at:]
        return tokens

    @staticmethod
    def _measure(held: bytes) -> tuple[int, int]:
        """(bytes of the command, data bytes after it); (0, 0) while it is incomplete."""
        try:
            size, data_bytes = _READERS[held[0]](held)
        except (IndexError, ValueError):
            # Incomplete: unless it is hopelessly long, wait for the rest.
            return (0, 0) if len(held) < 70_000 else (1, 0)
        return (size, data_bytes) if size <= len(held) else (0, 0)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The lines of one receipt. `at_ms`: when its first printed byte was read."""

    lines: tuple[str, ...]
    at_ms: int
    size_bytes: int
    cut: bool


class Decoder:
    """Receipts of a stream. Holds at most one receipt, bounded in lines and line length."""

    def __init__(self, code_page: str = "cp437") -> None:
        """Start between two receipts; `code_page` holds until the till chooses another."""
        self._tokenizer = Tokenizer()
        self._default_code_page = code_page
        self._start(code_page)

    def _start(self, code_page: str) -> None:
        self._code_page = code_page
        self._line = ""
        self._lines: list[str] = []
        self._at_ms: int | None = None
        self._size_bytes = 0

    def feed(self, chunk: bytes, at_ms: int) -> list[Receipt]:
        """The receipts that end in `chunk`, which was read at `at_ms`."""
        receipts: list[Receipt] = []
        self._size_bytes += len(chunk)
        for token in self._tokenizer.feed(chunk):
            if isinstance(token, Text):
                self._print(token.raw, at_ms)
            elif token.is_cut:
                receipts += self._finish(cut=True)
            else:
                self._obey(token, at_ms)
            if len(self._lines) > RECEIPT_LINES_MAX:
                receipts += self._finish(cut=False)
        return receipts

    def abandon(self) -> list[Receipt]:
        """The receipt that was being printed when the line broke, marked as not cut."""
        self._tokenizer = Tokenizer()
        return self._finish(cut=False)

    def _finish(self, *, cut: bool) -> list[Receipt]:
        self._end_line()
        receipts = []
        if any(self._lines) and self._at_ms is not None:
            lines = tuple(self._lines)
            receipts = [Receipt(lines, self._at_ms, self._size_bytes, cut)]
        self._start(self._code_page)
        return receipts

    def _print(self, raw: bytes, at_ms: int) -> None:
        text = raw.decode(self._code_page, "replace")
        if self._at_ms is None and text.strip():
            # Drawer kicks and resets may come hours before the first line: they do not count.
            self._at_ms = at_ms
        for character in text:
            if character == "\n":
                self._end_line()
            elif character == "\t":
                self._line += " "
            elif character.isprintable() and len(self._line) < LINE_CHARS_MAX:
                self._line += character

    def _end_line(self) -> None:
        if self._line.strip():
            self._lines.append(self._line.rstrip())
        self._line = ""

    def _obey(self, command: Command, at_ms: int) -> None:
        if command.name in ("ESC d", "ESC J") and self._line:
            self._end_line()
        elif command.name == "ESC t":
            self._code_page = _CODE_PAGES.get(command.args[0], self._default_code_page)
        elif command.data_bytes and self._at_ms is None:
            self._at_ms = at_ms
