"""What customers mean by what they type: commands, payment, time, model, language. No I/O."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from hub.leads.records import BuyWhen, Payment

Command: TypeAlias = Literal["stop", "erase", "start", "human", "english", "indonesian"]
Language: TypeAlias = Literal["id", "en"]

_CHARS_MAX: Final = 500
_COMMANDS: Final[Mapping[str, Command]] = {
    "stop": "stop",
    "berhenti": "stop",
    "unsubscribe": "stop",
    "hapus data saya": "erase",
    "delete my data": "erase",
    "mulai": "start",
    "start": "start",
    "orang": "human",
    "human": "human",
    "cs": "human",
    "english": "english",
    "indonesia": "indonesian",
}
_PAYMENTS: Final[Mapping[str, Payment]] = {
    "tunai": "cash",
    "cash": "cash",
    "kontan": "cash",
    "lunas": "cash",
    "kredit": "instalments",
    "credit": "instalments",
    "cicil": "instalments",
    "cicilan": "instalments",
    "nyicil": "instalments",
    "dicicil": "instalments",
    "angsur": "instalments",
    "angsuran": "instalments",
    "leasing": "instalments",
    "instalment": "instalments",
    "instalments": "instalments",
    "installment": "instalments",
    "installments": "instalments",
    "dp": "instalments",
}
_WHENS: Final[Sequence[tuple[str, BuyWhen]]] = (
    ("bulan ini", "month"),
    ("this month", "month"),
    ("minggu depan", "month"),
    ("next week", "month"),
    ("bulan depan", "later"),
    ("next month", "later"),
    ("tahun depan", "later"),
    ("next year", "later"),
    ("kapan kapan", "later"),
    ("nanti", "later"),
    ("later", "later"),
    ("masih lihat", "later"),
    ("hari ini", "now"),
    ("minggu ini", "now"),
    ("this week", "now"),
    ("secepatnya", "now"),
    ("sekarang", "now"),
    ("segera", "now"),
    ("besok", "now"),
    ("today", "now"),
    ("tomorrow", "now"),
    ("asap", "now"),
    ("now", "now"),
)
_UNDECIDED: Final = (
    "belum tahu",
    "belum tau",
    "tidak tahu",
    "gak tahu",
    "ga tau",
    "terserah",
    "apa saja",
    "bingung",
    "not sure",
    "dont know",
    "do not know",
    "any",
)
_ENGLISH: Final = frozenset(
    re.findall(
        r"\w+",
        "hello hi the i is want to buy how much scooter bike please can you would like interested "
        "in what price where about info information need looking for electric good morning my",
    )
)
_INDONESIAN: Final = frozenset(
    re.findall(
        r"\w+",
        "halo hai saya mau ingin beli berapa harga motor listrik tolong bisa min kak gan pak bu "
        "minat tanya apa ada dimana di yang ini itu selamat pagi siang sore malam kredit cicilan",
    )
)


def words(text: str) -> str:
    """Lower case, letters and digits only, one blank between words."""
    plain = unicodedata.normalize("NFKC", text[:_CHARS_MAX]).casefold().replace("'", "")
    return " ".join(re.findall(r"\w+", plain))


def command(text: str) -> Command | None:
    """The word that is an order; only when nothing else is written."""
    return _COMMANDS.get(words(text))


def payment_in(text: str) -> Payment | None:
    """Cash or instalments; of both the one named last, as in a correction."""
    named = [_PAYMENTS[word] for word in words(text).split() if word in _PAYMENTS]
    return named[-1] if named else None


def when_in(text: str) -> BuyWhen | None:
    """When they want to buy; of several the one named last."""
    # "I am now in Sidoarjo" says where, not when.
    plain = f" {words(text)} ".replace(" sekarang di ", " di ").replace(" now in ", " in ")
    named = [(plain.rfind(f" {phrase} "), when) for phrase, when in _WHENS]
    at, when = max(named, key=lambda found: found[0])
    return when if at >= 0 else None


def undecided(text: str) -> bool:
    """Whether they say that they do not know."""
    plain = f" {words(text)} "
    return any(f" {phrase} " in plain for phrase in _UNDECIDED)


def model_in(text: str, models: Sequence[tuple[str, str]]) -> str | None:
    """The code of the model (code, name) that is named; of several the one named last."""
    plain = f" {words(text)} "
    tight = plain.replace(" ", "")
    best: tuple[int, int, str] | None = None
    for code, name in models:
        for spelling in {words(code), words(name)} - {""}:
            at = plain.rfind(f" {spelling} ")
            if at < 0 and len(spelling) >= 4 and spelling.replace(" ", "") in tight:
                at = 0
            # "E8 Pro" contains "E8": the longer name is the one that is meant.
            if at >= 0 and (best is None or (at, len(spelling)) > best[:2]):
                best = (at, len(spelling), code)
    return None if best is None else best[2]


def language_of(text: str) -> Language | None:
    """The language a text is written in, when its words say so."""
    found = set(words(text).split())
    english, indonesian = len(found & _ENGLISH), len(found & _INDONESIAN)
    if english == indonesian:
        return None
    return "en" if english > indonesian else "id"
