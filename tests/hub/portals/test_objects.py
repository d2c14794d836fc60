"""Pages of one thing: an entry, a scooter, a receipt, a box."""

import json
from dataclasses import replace

import pytest

from hub.portals.read_models import Entry
from hub.sales.views import Sale
from shared.wire.events import Occurred, encode_event, parse_event
from tests.fakes.portal_reads import NOW_MS, device_named
from tests.hub.portals.conftest import House, Visitor

ATTACK = '"><script>alert(1)</script>'


def a_sale(house: House) -> tuple[Sale, Entry]:
    """A sale whose scooter answered, and its entry."""
    sale = next(s for s in house.net.sales.sale_list if s.units[0].activated_index is not None)
    return sale, house.net.ledger.rows[sale.index]


def test_an_entry_shows_facts_way_bytes_and_proof(house: House, admin: Visitor) -> None:
    """Everything the till stated, when each step was recorded, the bytes, and the proof."""
    sale, entry = a_sale(house)
    text = admin.text(f"/ledger/entry/{entry.index}")

    for fact in (sale.receipt, sale.units[0].serial, sale.units[0].model, "Proven to be on"):
        assert str(fact) in text
    assert "+9 ms" in text
    assert "The scooter answered: battery 96\N{NO-BREAK SPACE}%, firmware 2.4.1" in text
    assert f'href="/ledger/entry/{entry.index - 1}"' in text
    assert f'href="/ledger/entry/{entry.index + 1}"' in text
    assert f'href="/ledger/entry/{entry.index}.tlog-proof"' in text
    assert "&#34;receipt&#34;:&#34;" in text


def test_a_step_without_a_recorded_time_is_not_shown(house: House, admin: Visitor) -> None:
    """A box without a clock recorded nothing to count from."""
    _, entry = a_sale(house)
    raw = entry.raw.replace(b'"clock":"hub"', b'"clock":"none"')
    start = raw.index(b'"wall":"')
    raw = raw[:start] + b'"wall":null' + raw[raw.index(b'"', start + 8) + 1 :]
    house.net.ledger.rows[entry.index] = replace(entry, raw=raw, event=parse_event(raw))

    text = admin.text(f"/ledger/entry/{entry.index}")

    assert "From the store to the ledger" not in text
    assert "the box had no clock yet" in text


def test_what_a_till_wrote_never_runs(house: House, admin: Visitor) -> None:
    """A receipt number, a model and a serial made of HTML stay text on every page."""
    sale, entry = a_sale(house)
    raw = (
        entry.raw.replace(sale.receipt.encode(), b'x\\"><script>alert(1)</script>')
        .replace(b'"Kota 5"', b'"\\"><script>alert(1)</script>"')
        .replace(b'"E8S Pro"', b'"\\"><script>alert(1)</script>"')
    )
    house.net.ledger.rows[entry.index] = replace(entry, raw=raw, event=parse_event(raw))
    unit = replace(sale.units[0], serial=None, serial_raw=ATTACK, model=ATTACK)
    place = house.net.sales.sale_list.index(sale)
    house.net.sales.sale_list[place] = replace(sale, receipt=ATTACK, units=(unit,), till=ATTACK)

    for path in (f"/ledger/entry/{entry.index}", "/ledger", "/sales", f"/sales/{sale.index}"):
        text = admin.text(path)
        assert "<script>alert" not in text, path
    assert "<script>alert" not in admin.text(f"/ledger?q={ATTACK}")


def test_an_unreadable_entry_is_shown_with_its_reason(house: House, admin: Visitor) -> None:
    """It is on the ledger, it is not counted, and the page says why."""
    entry = house.net.ledger.rows[5]
    house.net.ledger.rows[5] = replace(
        entry, event=None, quarantined="data.units: expected a list", type="quarantined"
    )

    text = admin.text("/ledger/entry/5")

    assert "data.units: expected a list" in text
    assert "Sealed correctly, but not readable" in text


def newest_is(house: House, kind: str, data: dict[str, object]) -> str:
    """The newest entry is a fact of the hub's own; the address of its page."""
    entry = house.net.ledger.rows[-1]
    at_ms = entry.received_ms - 5
    occurred = Occurred(wall_ms=at_ms, err_ms=1, clock="hub", boot="hub", mono_ms=0)
    raw = encode_event(
        type=kind, device="hub", gen=1, lane="hub", n=1, occurred=occurred, data=data
    )
    fact = replace(entry, raw=raw, event=parse_event(raw), type=kind, device="hub", dealer=None)
    house.net.ledger.rows[-1] = fact
    return f"/ledger/entry/{entry.index}"


def test_a_race_is_told_tap_by_tap(house: House, admin: Visitor) -> None:
    """Who came first, second and third, and by how much; the lead is a link."""
    taps = [
        {"person": "per_a", "dealer": "SBY01", "decision": "won", "at": NOW_MS},
        {"person": "per_b", "decision": "too_slow", "at": NOW_MS + 1200, "margin_ms": 1200},
        {"person": ATTACK, "decision": ATTACK},
    ]
    page = newest_is(house, "lead.race", {"lead": "led_x", "round": 1, "taps": taps})

    text = admin.text(page)

    assert "Race for a lead" in text
    assert "1.2 s behind" in text
    assert text.index("per_a") < text.index("per_b")
    assert 'href="/leads/led_x"' in text
    assert "<script>alert" not in text
    assert "3 taps, the second 1.2" in admin.text("/ledger")


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("lead.handoff", {"lead": "led_x", "person": "per_a", "response_ms": 8421, "ring": 1},
         "Claimed after 8.4"),
        ("lead.handoff", {}, "Lead claimed"),
        ("lead.race", {"lead": "led_x", "taps": "none"}, "0 taps"),
        ("lead.race", {"lead": "led_x", "taps": [{"decision": "too_slow", "margin_ms": 9}]},
         "1 tap, lead"),
        ("lead.closed", {"lead": "led_x", "state": "LOST_UNRESPONSIVE"}, "Lost, no sale"),
        ("lead.closed", {"lead": "led_x", "state": "NEVER_HEARD_OF"}, "NEVER_HEARD_OF"),
        ("subject.erased", {"subject": "cus_x", "scope": "all"}, "A customer, with purchases"),
        ("subject.erased", {"subject": "cus_x", "scope": "led_x"}, "Data erased"),
    ],
)  # fmt: skip
def test_the_hubs_facts_about_leads_are_sentences(
    house: House, admin: Visitor, kind: str, data: dict[str, object], said: str
) -> None:
    """Also with what a later or an earlier hub wrote."""
    page = newest_is(house, kind, data)

    assert said in admin.text("/ledger")
    assert admin.get(page).status_code == 200


def test_a_fact_of_the_hubs_names_its_store_and_no_box(house: House, admin: Visitor) -> None:
    """The way of a hand-off begins at the hub; the store is the one that the fact names."""
    data: dict[str, object] = {"lead": "led_x", "person": "per_a", "dealer": "SBY07", "ring": 1}
    text = admin.text(newest_is(house, "lead.handoff", data))

    assert "Onto the ledger" in text
    assert "Recorded by the hub" in text
    assert "box" not in text[text.index("Onto the ledger") : text.index("The original bytes")]
    assert "<dt>Store</dt><dd>SBY07</dd>" in text
    unnamed = admin.text(newest_is(house, "lead.race", {"lead": "led_x", "taps": []}))
    assert "<dt>Store</dt>" not in unnamed


def test_a_proof_is_a_file(house: House, admin: Visitor) -> None:
    """Ready for the verifier: the C2SP form, named after the entry."""
    answer = admin.get("/ledger/entry/7.tlog-proof")

    assert answer.status_code == 200
    assert answer.get_data(as_text=True).startswith("c2sp.org/tlog-proof@v1\n")
    assert 'filename="7.tlog-proof"' in answer.headers["Content-Disposition"]
    assert admin.get("/ledger/entry/999999.tlog-proof").status_code == 404


def test_the_verifier_comes_with_the_hub(admin: Visitor) -> None:
    """One file, as this release ships it."""
    assert "c2sp.org/tlog-proof@v1" in admin.text("/ledger/kickstand_verify.py")


def test_a_scooters_life_is_told_latest_first(house: House, admin: Visitor) -> None:
    """Sold, then answered; any spelling of the serial leads there."""
    sale, _ = a_sale(house)
    serial = str(sale.units[0].serial)

    text = admin.text(f"/units/{serial}")
    body = json.loads(admin.text(f"/units/{serial}.json"))

    assert text.index("<b>Activated</b>") < text.index("<b>Sale</b>")
    assert [row["type"] for row in body["entries"]] == ["scooter.activated", "pos.sale"]
    assert admin.get(f"/units/{serial.lower()}").headers["Location"] == f"/units/{serial}"
    assert admin.get("/units/KS9F2L7A8NJ999999").status_code == 404


def test_a_receipt_shows_prices_discount_and_what_became_of_it(
    house: House, admin: Visitor
) -> None:
    """List, discount and what was paid, in whole rupiah."""
    sale = next(s for s in house.net.sales.sale_list if s.units[0].discount_idr)
    text = admin.text(f"/sales/{sale.index}")
    body = json.loads(admin.text(f"/sales/{sale.index}.json"))

    assert f"Rp\N{NO-BREAK SPACE}{sale.total_idr:,}".replace(",", ".") in text
    assert body["units"][0]["net_idr"] == sale.total_idr
    assert body["at"].endswith("Z")


def test_a_box_tells_how_it_is_and_what_it_lost(house: House, admin: Visitor) -> None:
    """Declared holes with the entry that declared them, undeclared ones marked."""
    text = admin.text(f"/devices/{device_named(3)}")
    body = json.loads(admin.text(f"/devices/{device_named(3)}.json"))

    assert "3 events never came and were not declared lost." in text
    assert [hole["reason"] for hole in body["holes"]] == ["disk_full", None]
    assert "Suspected clone" in admin.text(f"/devices/{device_named(6)}")


def test_the_badge_says_how_long_ago_the_ledger_was_checked(house: House, admin: Visitor) -> None:
    """With the age; before the first check with how far it is; an old check is no comfort."""
    assert "Unbroken · checked <time" in admin.text("/ledger")
    house.net.ledger.verified_ms = NOW_MS - 3_600_000
    assert "Last checked <time" in admin.text("/ledger")
    house.net.ledger.verified_ms, house.net.ledger.checked = None, 50
    text = admin.text("/ledger")
    assert "Unbroken" not in text
    assert "Being checked · 25\N{NO-BREAK SPACE}%" in text
    house.net.ledger.read_only = True
    assert "Read-only after a restore" in admin.text("/ledger")


def test_a_broken_ledger_is_loud(house: House, admin: Visitor) -> None:
    """On the list, on the page that explains it, and on the page of the very entry."""
    house.net.ledger.broken_at = 7

    assert "Broken at entry 7" in admin.text("/ledger")
    assert "Entry <a" in admin.text("/ledger/verify")
    assert "not those that were signed for" in admin.text("/ledger/entry/7")
    assert "Proven to be on the ledger" in admin.text("/ledger/entry/8")


def test_the_language_is_the_accounts_then_the_cookies_then_the_browsers(house: House) -> None:
    """Chosen once, it stays: for the browser before signing in, for the person afterwards."""
    visitor = house.visitor("en")
    assert "Sign in" in visitor.text("/login")
    assert visitor.post("/language", language="id", back="/login").status_code == 303
    assert "Masuk" in visitor.text("/login")
    visitor.sign_in_by(house.link)
    visitor.post("/language", language="id", back="//evil.example")
    visitor.client.delete_cookie("kickstand_language")

    assert "Buku besar" in visitor.text("/ledger")
