"""The till's own encoder of KPOS/1."""

import json

from firmware_sim import kpos
from firmware_sim.receipts import Buyer, Receipt, ReceiptUnit, Reversal

UNIT = ReceiptUnit(
    printed_serial="kse8-jkt26 00000123", model="E8", list_idr=21_900_000, discount_idr=500_000
)
RECEIPT = Receipt(
    till="T1",
    number="20261122-0093",
    units=(UNIT,),
    payment="instalments",
    operator="07",
    buyer=Buyer(name="Pembeli Contoh 0001", phone="0800-0000-0001"),
)


def test_the_checksum_is_the_published_one():
    """CRC-16/XMODEM of "123456789" is 31C3 in every catalogue."""
    assert kpos.crc16_xmodem(b"123456789") == 0x31C3


def test_a_frame_is_one_line_with_its_checksum():
    """Mark, four hex digits, JSON, line end."""
    line = kpos.frame({"ack": 1})

    assert line == b'K1 %04x {"ack":1}\n' % kpos.crc16_xmodem(b'{"ack":1}')


def test_a_sale_says_all_that_the_sheet_names():
    """The printed serial goes out as typed; the net price is list minus discount."""
    line = kpos.frame(kpos.sale_message(RECEIPT, 12))

    assert json.loads(line[8:]) == {
        "seq": 12,
        "t": "sale",
        "till": "T1",
        "receipt": "20261122-0093",
        "units": [
            {
                "serial": "kse8-jkt26 00000123",
                "model": "E8",
                "list": 21_900_000,
                "discount": 500_000,
                "net": 21_400_000,
            }
        ],
        "payment": "instalments",
        "operator": "07",
        "buyer": {"name": "Pembeli Contoh 0001", "phone": "0800-0000-0001"},
    }


def test_a_void_of_everything_names_no_serials():
    """None stands for all units of the receipt."""
    message = kpos.reversal_message(Reversal(kind="void", till="T1", number="R1"), 3)

    assert message == {"seq": 3, "t": "void", "till": "T1", "receipt": "R1", "serials": None}


def test_answers_are_read_in_pieces_and_garbage_is_counted():
    """An answer may arrive byte by byte, between noise and with a wrong checksum."""
    reader = kpos.AnswerReader()
    spoiled = kpos.frame({"ack": 8}).replace(b"8", b"9")
    stream = b"\xff\x00\n" + kpos.frame({"ack": 7}) + spoiled
    stream += kpos.frame({"nak": None, "why": "crc"})

    answers = [answer for byte in stream for answer in reader.feed(bytes([byte]))]

    assert answers == [kpos.Ack(7), kpos.Nak(None, "crc")]
    assert reader.unreadable == 2
