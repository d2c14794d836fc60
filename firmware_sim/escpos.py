"""A receipt as an Epson-like printer gets it: a byte stream without framing or checksum.

The layout is the one that the agent's template `epson-id` reads; docs/till-protocol.md prints it.
"""

from firmware_sim.receipts import Receipt, ReceiptUnit, Reversal

COLUMNS = 42
INIT = b"\x1b@"
CENTRE, LEFT = b"\x1ba\x01", b"\x1ba\x00"
BOLD, PLAIN = b"\x1bE\x01", b"\x1bE\x00"
FEED_3 = b"\x1bd\x03"
CUT = b"\x1dVA\x03"
"""Feed and cut, function 65: the byte after it belongs to the command."""
OPEN_DRAWER = b"\x1bp\x00\x3c\x78"
TITLES = {"void": "PEMBATALAN", "return": "RETUR"}
PAYMENTS = {"cash": "TUNAI", "instalments": "CICILAN"}
LOGO_WIDTH_BYTES, LOGO_HEIGHT_DOTS = 12, 24


def logo() -> bytes:
    """A chequered flag as a stored graphic: its dots contain every byte that could mislead.

    GS ( L, function 112 (raster into the print buffer), then function 50 (print it).
    """
    dots = bytes(range(256)) + b"\n\x1b@\x1dVA\x03No: 1\n" * 2
    dots = dots[: LOGO_WIDTH_BYTES * LOGO_HEIGHT_DOTS].ljust(
        LOGO_WIDTH_BYTES * LOGO_HEIGHT_DOTS, b"\x55"
    )
    head = b"0p0\x01\x011" + _u16(LOGO_WIDTH_BYTES * 8) + _u16(LOGO_HEIGHT_DOTS)
    body = head + dots
    return b"\x1d(L" + _u16(len(body)) + body + b"\x1d(L\x02\x000\x32"


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def rupiah(amount_idr: int) -> str:
    """Dots between thousands, as Indonesian tills print them."""
    return f"Rp {amount_idr:,}".replace(",", ".")


def _line(text: str) -> bytes:
    return text.encode("cp437", errors="replace") + b"\n"


def _pair(left: str, right: str) -> bytes:
    return _line(f"{left}{right:>{COLUMNS - len(left)}}")


def _head(title: str, *, store: str, till: str, number: str, operator: str, copy: bool) -> bytes:
    lines = [_line(title)]
    if copy:
        lines.append(_line("SALINAN"))
    lines.append(_line(f"No: {number}"))
    lines.append(_pair(f"Kasir: {till}", f"Operator: {operator}"))
    lines.append(_line("-" * COLUMNS))
    brand = CENTRE + BOLD + _line(f"KICKSTAND STORE {store}") + PLAIN + LEFT
    return INIT + CENTRE + logo() + brand + b"".join(lines)


def _unit(unit: ReceiptUnit) -> bytes:
    lines = [_line(f"{unit.model} SKUTER LISTRIK")]
    if unit.printed_serial is not None:
        lines.append(_line(f"SN: {unit.printed_serial}"))
    lines.append(_pair("Harga", rupiah(unit.list_idr)))
    if unit.discount_idr:
        lines.append(_pair("Diskon", f"Rp -{rupiah(unit.discount_idr)[3:]}"))
    lines.append(_pair("Netto", rupiah(unit.net_idr)))
    return b"".join(lines)


def sale_print(receipt: Receipt, *, store: str, copy: bool = False) -> bytes:
    """A whole sales receipt, from the initialisation to the cut; a copy says so."""
    tail = [
        _line("-" * COLUMNS),
        BOLD,
        _pair("TOTAL", rupiah(receipt.total_idr)),
        PLAIN,
        _line(f"Bayar: {PAYMENTS[receipt.payment]}"),
    ]
    if receipt.buyer is not None:
        tail.append(_line(f"Pembeli: {receipt.buyer.name}"))
        tail.append(_line(f"HP: {receipt.buyer.phone}"))
    tail.append(_line("LUNAS"))
    if receipt.payment == "cash" and not copy:
        tail.append(OPEN_DRAWER)
    head = _head(
        "STRUK PENJUALAN",
        store=store,
        till=receipt.till,
        number=receipt.number,
        operator=receipt.operator,
        copy=copy,
    )
    units = b"".join(_unit(unit) for unit in receipt.units)
    return head + units + b"".join(tail) + FEED_3 + CUT


def reversal_print(reversal: Reversal, *, store: str, operator: str = "07") -> bytes:
    """A void or a return; without serials it reverses the whole receipt."""
    head = _head(
        TITLES[reversal.kind],
        store=store,
        till=reversal.till,
        number=reversal.number,
        operator=operator,
        copy=False,
    )
    units = b"".join(_line(f"SN: {serial}") for serial in reversal.serials or ())
    return head + units + _line("SELESAI") + FEED_3 + CUT
