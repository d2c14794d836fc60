"""The wire's version: one integer, and a dated line for every change of it."""

WIRE_VERSION = 1

HISTORY: dict[int, str] = {
    1: (
        "2026-11-22: events, statements, seals, bodies, receipts with range proofs, "
        "RFC 9421 profiles kickstand-agent/1 and kickstand-hub/1."
    ),
}
"""What each version brought. A reader keeps reading every version listed here."""
