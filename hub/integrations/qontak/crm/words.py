"""A lead's timeline as notes for people who look into the CRM. Pure; in Indonesian."""

from collections.abc import Sequence
from typing import Final

from hub.integrations.qontak.crm.client import NOTE_CHARS_MAX
from hub.leads.records import Happened
from shared.instants import rfc3339

TOLD: Final = {
    "lead.received": "Prospek diterima",
    "lead.qualified": "Prospek lengkap",
    "lead.handoff": "Prospek diambil oleh dealer",
    "lead.contacted": "Pelanggan sudah dihubungi",
    "contact.confirmed": "Pelanggan membenarkan sudah dihubungi",
    "contact.denied": "Pelanggan belum dihubungi",
    "lead.released": "Prospek dilepas",
    "lead.transferred": "Prospek dialihkan",
    "lead.demo": "Test ride dijadwalkan",
    "won.reported": "Penjualan dilaporkan",
    "lead.won": "Terjual",
    "lead.lost": "Tidak jadi",
    "lead.expired": "Tidak ada dealer yang mengambil",
    "lead.human": "Minta dilayani petugas",
}
"""What people want to know; offers, taps and questions are the hub's own affair."""
STAGES: Final = {
    "Pending_Contact": ("pending contact",),
    "Demo_Scheduled": ("demo scheduled",),
    "Closed_Won": ("closed won", "won"),
    "Lost_Unresponsive": ("lost unresponsive", "closed lost", "lost"),
}
"""Names that a pipeline's stage may have, by what the hub calls it."""


def deal_name(lead: str) -> str:
    """By which a deal is found again: it says nothing of the person and never changes."""
    return f"Kickstand {lead}"


def marker(lead: str, seq: int) -> str:
    """The last line of a note, by which it is found again."""
    return f"[{lead} #{seq}]"


def note_of(lead: str, event: Happened, dealer: str | None, transcript: Sequence[str]) -> str:
    """One entry of the timeline, with the conversation where it belongs to it."""
    first = f"{TOLD[event.kind]} · {rfc3339(event.at_ms)}"
    last = marker(lead, event.seq)
    lines = [f"{first} · {dealer}" if dealer else first, *transcript]
    said = "\n".join(lines)[: NOTE_CHARS_MAX - len(last) - 1]
    return f"{said}\n{last}"
