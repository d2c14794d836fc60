"""What customers are asked while they are screened, in both languages."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from hub.leads.answers import Language
from hub.leads.records import Lead
from hub.leads.screening import Screening, load
from hub.outbox.messages import Button, Outgoing, Rendered, Row, Withhold

CONSENT_VERSION: Final = "2026-11"
"""Of the words about what happens with the answers. New words, new version."""
COUNTER_CONSENT_VERSION: Final = "2026-11-counter"
"""Of the words that somebody at a counter reads to the customer."""
CONSENT_TEXTS: Final[Mapping[str, Mapping[Language, str]]] = {
    "2026-11": {
        "id": "Halo! 👋 Terima kasih sudah menghubungi kami.\n"
        "Jawaban Anda kami pakai untuk mencarikan dealer terdekat. Nama dan nomor Anda hanya "
        "diberikan kepada dealer yang menangani Anda. Dengan melanjutkan, Anda menyetujuinya. "
        "Balas BERHENTI untuk berhenti, HAPUS DATA SAYA untuk menghapus data Anda. "
        "For English reply ENGLISH.\n\n",
        "en": "Hello! 👋 Thank you for writing to us.\n"
        "We use your answers to find the nearest dealer. Your name and number are given only to "
        "the dealer who looks after you. By going on you agree to this. "
        "Reply STOP to stop, DELETE MY DATA to have your data deleted. "
        "Untuk Bahasa Indonesia balas INDONESIA.\n\n",
    },
    "2026-11-counter": {
        "id": "Pelanggan setuju: kami memakai jawabannya untuk mencarikan dealer, memberikan nama "
        "dan nomornya hanya kepada dealer yang menanganinya, dan boleh menulis kepadanya lewat "
        "WhatsApp, sampai ia membalas BERHENTI.",
        "en": "The customer agrees: we use the answers to find a dealer, give name and number only "
        "to the dealer who looks after them, and may write to them on WhatsApp until they reply "
        "STOP.",
    },
}
"""What people have agreed to, by version, for ever: the words of a version never change (a test
knows their hash), so the version that stands with a consent says which text it was."""

_TITLE_CHARS_MAX: Final = 24
_TEXTS: Final[Mapping[Language, Mapping[str, str]]] = {
    "id": {
        "first": CONSENT_TEXTS[CONSENT_VERSION]["id"],
        "nudge": "Masih berminat? 😊 Tinggal sedikit lagi.\n\n",
        "location": "📍 Anda di mana? Bagikan lokasi Anda, atau ketik kecamatan dan kota.",
        "which": "📍 Yang mana tempat Anda?",
        "cities": "Maaf, tempatnya belum kami kenali. 📍 Pilih kota terdekat, "
        "bagikan lokasi, atau ketik nama kota saja.",
        "place_unknown": "Maaf, tempat itu belum kami kenali. "
        "Coba ketik kecamatan dan kota, misalnya: Wonokromo, Surabaya.",
        "link": "Maaf, tautan itu tidak dapat kami baca.",
        "pin_zero": "Maaf, lokasi yang terkirim kosong.",
        "pin_abroad": "Maaf, lokasi itu di luar Indonesia.",
        "model": "🛵 Model mana yang Anda minati?",
        "payment": "💳 Bayar tunai atau kredit?",
        "buy_when": "🗓️ Kapan rencana membeli?",
        "phone": "📞 Boleh minta nomor WhatsApp Anda, supaya dealer dapat menghubungi Anda?",
        "phone_wrong": "Maaf, itu bukan nomor ponsel yang dapat dihubungi.",
        "not_understood": "Maaf, kami belum paham. Silakan pilih salah satu.",
        "media": "Maaf, kami belum dapat membaca suara, gambar, atau berkas. Silakan ketik.",
        "noted": "✅ Sudah kami catat.",
        "human": "Baik, tim kami akan membalas Anda di sini secepatnya.",
        "welcome_back": "Selamat datang kembali! Anda akan menerima pesan kami lagi.",
        "erasing": "Permintaan Anda kami terima. Data Anda segera dihapus.",
        "choose": "Pilih",
        "another_place": "Tempat lain",
        "any_model": "Belum tahu",
        "PAY_cash": "Tunai",
        "PAY_instalments": "Kredit",
        "PAY_unknown": "Belum tahu",
        "WHEN_now": "Sekarang",
        "WHEN_month": "Bulan ini",
        "WHEN_later": "Nanti",
        "HUMAN": "Bicara dengan orang",
    },
    "en": {
        "first": CONSENT_TEXTS[CONSENT_VERSION]["en"],
        "nudge": "Still interested? 😊 We are nearly there.\n\n",
        "location": "📍 Where are you? Share your location, or type your district and city.",
        "which": "📍 Which of these is your place?",
        "cities": "Sorry, we do not know that place yet. 📍 Choose the nearest city, "
        "share your location, or type just the name of a city.",
        "place_unknown": "Sorry, we do not know that place. "
        "Try your district and city, for example: Wonokromo, Surabaya.",
        "link": "Sorry, we cannot read that link.",
        "pin_zero": "Sorry, the location came without a place.",
        "pin_abroad": "Sorry, that location is outside Indonesia.",
        "model": "🛵 Which model are you interested in?",
        "payment": "💳 Cash or instalments?",
        "buy_when": "🗓️ When would you like to buy?",
        "phone": "📞 May we have your WhatsApp number, so that the dealer can reach you?",
        "phone_wrong": "Sorry, that is no mobile number that can be reached.",
        "not_understood": "Sorry, we did not understand. Please choose one.",
        "media": "Sorry, we cannot read voice notes, pictures or files yet. Please type.",
        "noted": "✅ Noted.",
        "human": "Certainly, our team will answer you here as soon as possible.",
        "welcome_back": "Welcome back! You will receive our messages again.",
        "erasing": "We have your request. Your data will be deleted shortly.",
        "choose": "Choose",
        "another_place": "Another place",
        "any_model": "Not sure yet",
        "PAY_cash": "Cash",
        "PAY_instalments": "Instalments",
        "PAY_unknown": "Not sure yet",
        "WHEN_now": "Now",
        "WHEN_month": "This month",
        "WHEN_later": "Later",
        "HUMAN": "Talk to a person",
    },
}
_BUTTONS: Final[Mapping[str, tuple[str, ...]]] = {
    "payment": ("PAY_cash", "PAY_instalments", "PAY_unknown"),
    "buy_when": ("WHEN_now", "WHEN_month", "WHEN_later"),
}
_UNTITLED: Final[Mapping[str, str]] = {"PLACE_other": "another_place", "MODEL_any": "any_model"}
_ASKING: Final = frozenset({"location", "model", "payment", "buy_when", "phone"})
_PLACES: Final = frozenset({"which", "cities"})


class ScreeningWords:
    """Implements `hub.leads.needs.Questions`."""

    def render(self, _connection: Connection, lead: Lead, row: Outgoing) -> Rendered | Withhold:
        """The words of a question, or why it is not asked any more."""
        question = str(row.data.get("question"))
        state = load(lead.screening)
        if question == "nudge":
            return _nudge(lead, state)
        if state is not None and (question in _ASKING or question in _PLACES):
            wanted = "location" if question in _PLACES else question
            if state.human or (wanted in state.settled and wanted != state.asked):
                return Withhold("answered meanwhile")
        return worded(question, row.data, lead.language)


def worded(question: str, data: Mapping[str, object], language: Language) -> Rendered | Withhold:
    """One message in one language."""
    texts = _TEXTS[language]
    if question not in texts:
        return Withhold(f"nobody knows the words for {question}")
    text = (texts["first"] if data.get("first") else "") + texts[question]
    rows = _rows(data.get("rows"), texts)
    return Rendered(
        text=text,
        buttons=tuple(Button(tap, texts[tap]) for tap in _BUTTONS.get(question, ())),
        rows=rows,
        rows_button=texts["choose"] if rows else "",
        asks={"location": "location", "phone": "contact"}.get(question),  # type: ignore[arg-type]
    )


def _nudge(lead: Lead, state: Screening | None) -> Rendered | Withhold:
    """The open question once more."""
    if lead.state != "SCREENING" or state is None or state.done or state.asked is None:
        return Withhold("nothing is asked any more")
    data: dict[str, object] = {"rows": [list(option) for option in state.options]}
    listed = state.asked == "location" and state.options
    question = worded("which" if listed else state.asked, data, lead.language)
    if isinstance(question, Withhold):
        return question
    return Rendered(
        text=_TEXTS[lead.language]["nudge"] + question.text,
        buttons=question.buttons,
        rows=question.rows,
        rows_button=question.rows_button,
        asks=question.asks,
    )


def _rows(found: object, texts: Mapping[str, str]) -> tuple[Row, ...]:
    """Rows as [id, title] or [id, title, description]; what has no title gets ours."""
    if not isinstance(found, list | tuple):
        return ()
    rows = []
    for entry in found:
        identity, title, *more = (str(part) for part in entry)
        shown = title or texts[_UNTITLED.get(identity, "choose")]
        shown = shown.removeprefix("Kota ").replace("Kabupaten ", "Kab. ")
        rows.append(Row(identity, _cut(shown), more[0] if more else ""))
    return tuple(rows)


def _cut(title: str) -> str:
    return title if len(title) <= _TITLE_CHARS_MAX else title[: _TITLE_CHARS_MAX - 1] + "…"
