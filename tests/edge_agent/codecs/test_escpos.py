"""ESC/POS: a printer's stream becomes the lines of a receipt, and a template reads them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs import escpos, receipt_template
from edge_agent.codecs.till import MalformedTillMessage, TillReversal, TillSale

RECEIPTS = Path(__file__).parents[2] / "golden/receipts"
LOGO_BYTES = 8_978
LOGO = b"\x1d(L" + LOGO_BYTES.to_bytes(2, "little") + bytes(range(256)) * 36
CUT = b"\x1dVA\x03"


def printed(lines, *, logo=b""):
    """The bytes a till sends to print `lines`."""
    return b"\x1b@\x1ba\x01" + logo + "\n".join(lines).encode("cp437") + b"\n\x1bd\x02" + CUT


def lines_of(name):
    """A golden receipt."""
    return RECEIPTS.joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines()


def read(lines, template="epson-id"):
    """What the template reads in `lines`."""
    return receipt_template.load(template).read(lines)


def test_commands_have_the_published_arguments():
    """Cut m=65 n=3, drawer m=48 t1=60 t2=120, a logo of 8,978 bytes: as in the golden stream."""
    stream = b"\x1b@" + LOGO[: 5 + LOGO_BYTES] + b"A\n" + CUT + b"\x1bp\x30\x3c\x78"

    tokens = escpos.Tokenizer().feed(stream)

    assert [
        escpos.Command("ESC @", b""),
        escpos.Command("GS (", b"L" + LOGO_BYTES.to_bytes(2, "little"), LOGO_BYTES),
        escpos.Text(b"A\n"),
        escpos.Command("GS V", bytes([65, 3])),
        escpos.Command("ESC p", bytes([48, 60, 120])),
    ] == tokens


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("bit image, 24 dots", b"\x1b*\x21\x04\x00" + b"TEXTTEXTTEXT"),
        ("raster image", b"\x1dv0\x00\x02\x00\x03\x00" + b"TEXTTE"),
        ("downloaded image", b"\x1d*\x01\x01" + b"TEXTTEXT"),
        ("large graphics", b"\x1d8L\x04\x00\x00\x00TEXT"),
        ("bar code, old form", b"\x1dk\x04TEXT\x00"),
        ("bar code, new form", b"\x1dkI\x04TEXT"),
        ("QR code", b"\x1d(k\x07\x001P0TEXT"),
        ("tab stops", b"\x1bDTEXT\x00"),
        ("user characters", b"\x1b&\x01AB\x02TE\x02XT"),
        ("status request", b"\x10\x04\x01"),
        ("page area", b"\x1bWTEXTTEXT"),
    ],
)
def test_what_is_not_text_is_skipped_by_its_length(name, raw):
    """Bytes inside images, codes and settings never show up as text, however chunks fall."""
    for size in (1, 3, 1000):
        decoder = escpos.Decoder()
        stream = raw + b"line\n" + CUT
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]

        (receipt,) = [found for chunk in chunks for found in decoder.feed(chunk, 5)]

        assert ("line",) == receipt.lines


def test_a_receipt_ends_at_the_cut_and_is_dated_by_its_first_line():
    """A drawer kick after a cut belongs to no receipt, and does not date the next one."""
    decoder = escpos.Decoder()

    decoder.feed(printed(["one"]), 1_000)
    decoder.feed(b"\x1bp\x00\x32\x32", 1_500)
    decoder.feed(b"tw", 9_000)
    (receipt,) = decoder.feed(b"o\n" + CUT, 9_300)

    assert (("two",), 9_000, True) == (receipt.lines, receipt.at_ms, receipt.cut)


def test_what_was_printed_when_the_line_broke_is_handed_over():
    """Half a receipt is told as such: it is evidence, never a sale."""
    decoder = escpos.Decoder()
    decoder.feed(b"STRUK PENJUALAN\nNo: 1", 5)

    (receipt,) = decoder.abandon()

    assert (("STRUK PENJUALAN", "No: 1"), False) == (receipt.lines, receipt.cut)


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_bytes_are_receipts_or_nothing_and_nothing_raises(chunks):
    """The tokenizer and the decoder take any bytes and hold a bounded number of them."""
    decoder = escpos.Decoder()

    for chunk in chunks:
        decoder.feed(chunk, 0)
    decoder.abandon()


@given(st.lists(st.text(max_size=60), max_size=30), st.sampled_from(["epson-id", "star-en"]))
def test_any_lines_are_a_message_or_malformed(lines, template):
    """A template raises MalformedTillMessage, and nothing else, for any text."""
    try:
        message = read(lines, template)
    except MalformedTillMessage:
        return
    assert isinstance(message, TillSale | TillReversal)


def test_an_indonesian_receipt_is_read_exactly():
    """Two units, one without a serial tag, a discount, cash, operator and buyer."""
    (receipt,) = escpos.Decoder().feed(printed(lines_of("epson-id-sale"), logo=LOGO[:8_983]), 0)

    sale = read(receipt.lines)
    assert isinstance(sale, TillSale)
    assert sale.buyer is not None

    assert ("T2", "20261122-0093", "cash", "07") == (
        sale.till,
        sale.receipt,
        sale.payment,
        sale.operator,
    )
    assert [
        ("KSE8JKT2600000123", "E8", 21_900_000, 500_000, 21_400_000),
        (None, "E8", 21_900_000, 0, 21_900_000),
    ] == [(u.serial, u.model, u.list_idr, u.discount_idr, u.net_idr) for u in sale.units]
    assert ("Siti Rahma", "0812-3456-7890") == (sale.buyer.name, sale.buyer.phone)


def test_an_english_receipt_is_read_exactly():
    """Another maker's layout needs a template, no code."""
    sale = read(lines_of("star-en-sale"), "star-en")
    assert isinstance(sale, TillSale)
    assert sale.buyer is not None

    assert ("T1", "20261122-0094", "instalments", "07") == (
        sale.till,
        sale.receipt,
        sale.payment,
        sale.operator,
    )
    (unit,) = sale.units
    assert ("KSE8JKT2600000124", "E8", 21_400_000) == (unit.serial, unit.model, unit.net_idr)
    assert "+62 813 5555 0101" == sale.buyer.phone


@pytest.mark.parametrize(
    ("name", "template", "type_", "serials"),
    [
        ("epson-id-void", "epson-id", "pos.void", ("KSE8JKT2600000123",)),
        ("star-en-refund", "star-en", "pos.return", None),
    ],
)
def test_reversals_are_read(name, template, type_, serials):
    """Named serials, or none for the whole receipt."""
    reversal = read(lines_of(name), template)
    assert isinstance(reversal, TillReversal)

    assert (type_, serials) == (reversal.type, reversal.serials)


@pytest.mark.parametrize(
    ("pattern", "replacement", "why"),
    [
        (r"^LUNAS$", "BELUM LUNAS", "incomplete"),
        (r"^STRUK PENJUALAN$", "LAPORAN HARIAN", "type"),
        (r"Rp 43\.300\.000", "Rp 43.800.000", "arithmetic"),
        (r"Rp 21\.400\.000", "Rp 21.900.000", "arithmetic"),
        (r"Rp 21\.400\.000", "Rp -21.400.000", "price"),
        (r"Rp 21\.900\.000", "Rp 21.9oo.000", "price"),
        (r"^Diskon .*$", "Potongan Rp 500.000", "units"),
        (r"^No: .*$", "", "receipt"),
    ],
)
def test_a_receipt_that_does_not_add_up_is_refused(pattern, replacement, why):
    """A stream without a checksum is believed only when its arithmetic and its parts agree."""
    text = "\n".join(lines_of("epson-id-sale"))
    changed = re.sub(pattern, replacement, text, flags=re.MULTILINE)

    with pytest.raises(MalformedTillMessage) as refusal:
        read(changed.splitlines())

    assert why == refusal.value.why


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fields = 3", "fields: expected a list"),
        ("fields = ['(?P<price>x)']", "unknown group 'price'"),
        ("fields = ['(']", "not a pattern"),
        ("colour = 'red'", "unknown key 'colour'"),
        ("code_page = 'cp0'", "not a code page"),
    ],
)
def test_a_wrong_template_is_refused_with_the_key(line, message):
    """A technician who writes a template is told what is wrong with it."""
    shipped = Path(receipt_template.__file__).with_name("templates") / "epson-id.toml"
    key = line.split(" ", 1)[0]
    text = re.sub(
        rf"^{key} = (?s:.)*?\n(?=\n|fields)", "", shipped.read_text("utf-8"), flags=re.MULTILINE
    )

    with pytest.raises(receipt_template.MalformedTemplate, match=re.escape(message)):
        receipt_template.parse(f"{line}\n{text}")


def test_an_unknown_template_names_the_shipped_ones():
    """A typing error is answered with the list."""
    with pytest.raises(receipt_template.MalformedTemplate, match="epson-id, star-en"):
        receipt_template.load("epson")
