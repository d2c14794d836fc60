"""The board of leads and one lead: who sees what, who may do what, and that deeds are done."""

import csv
import io
import json
import re

import pytest
from sqlalchemy import select

from hub.alerts.service import Alerts
from hub.contacts.service import Contacts
from hub.contacts.store import IDENTITY_READING
from hub.leads.winning import Sale
from tests.fakes.lead_market import START_MS, a_dealer, a_rep
from tests.fakes.portal_reads import network

PHONE = "6281234567890"


@pytest.fixture
def lead(market):
    """A lead of a customer the contacts know, claimed by the rep of SBY01."""
    customer = market.do(
        lambda c: Contacts(b"k" * 32).meet(c, phone=PHONE, name="Budi", now_ms=START_MS)
    )
    made = market.lead(contact=customer)
    market.tap("per_1", f"CLAIM_{made}", START_MS + 8421)
    market.tap("per_2", f"CLAIM_{made}", START_MS + 9625)
    return made


def readings(house):
    """Who was shown who a customer is."""
    with house.database.read() as connection:
        return list(connection.scalars(select(IDENTITY_READING.c.by)))


def test_the_first_day_says_what_will_come(market, admin):
    """An empty board is no error."""
    assert "No lead has come in yet" in admin.text("/leads")
    assert json.loads(admin.text("/leads.json")) == {"items": [], "next": None}
    assert "Nothing needs anybody" in admin.text("/alerts")


def test_the_board_shows_state_time_and_owner_and_never_a_number(admin, lead):
    """In all of its forms."""
    page = admin.text("/leads")
    assert lead in page
    assert "to call" in page
    assert "Rep1 Wijaya" in page
    for path in ("/leads", "/leads.json", "/leads.csv", f"/leads/{lead}", f"/leads/{lead}.json"):
        assert PHONE not in admin.text(path), path
        assert "Budi" not in admin.text(path), path


def test_a_counter_is_a_filter(admin, market, lead):
    """Pressing it shows those and no others; nothing found says so."""
    other = market.lead(contact="cus_2")
    claimed = admin.text("/leads?state=CLAIMED")
    assert lead in claimed
    assert other not in claimed
    assert "Nothing matches these filters" in admin.text("/leads?source=tiktok")
    assert lead in admin.text(f"/leads?q={lead[:10]}")
    assert admin.get("/leads?after=led_gone").status_code == 200


def test_the_routers_sheet_has_exactly_its_columns(admin, lead):
    """As the contract names them, the customer masked."""
    rows = list(csv.reader(io.StringIO(admin.text("/leads.csv?view=router"))))
    assert rows[0] == [
        "Lead ID", "Raw Payload", "Status", "Claimed By", "Broadcast Time", "Response Velocity (s)"
    ]  # fmt: skip
    assert [rows[1][0], *rows[1][2:4], rows[1][5]] == [lead, "CLAIMED", "per_1", "8.421"]
    assert json.loads(rows[1][1])["customer"] == "62812•••890"


def test_one_lead_tells_the_race(admin, lead):
    """Each tap in the order of arrival, with what it was worth."""
    page = admin.text(f"/leads/{lead}")
    assert page.index("Rep1 Wijaya, won") < page.index("Rep2 Wijaya, too slow, by 1.204 s")
    assert admin.get("/leads/led_nobody").status_code == 404


def test_sold_by_another_store_is_shown_with_both_timelines(house, admin, person, lead, market):
    """Who had claimed it, who sold it, and what the ledger says of the scooter; in words."""
    house.net.ledger.rows = network(60).ledger.rows
    row = next(row for row in house.net.ledger.rows if row.type == "pos.sale" and row.serials)
    serial = row.serials[0]
    sale = Sale(
        index=7,
        dealer="SBY02",
        at_ms=market.clock.wall_ms(),
        serials=(serial,),
        contact=market.get(lead).contact,
    )
    market.do(lambda c: market.leads.winning.sale(c, sale, market.clock.wall_ms()))
    assert market.get(lead).close_reason == "sold_elsewhere"
    shown = person("per_m").text(f"/leads/{lead}")
    assert "sold by another store than the one that had claimed it" in shown
    assert "sold by SBY02" in re.sub(r"<[^>]+>", "", shown)
    # What other stores sell, and for how much, is for head office.
    assert "What the ledger says of the scooter" not in shown
    both = admin.text(f"/leads/{lead}")
    assert "Decide by hand" not in both
    assert "What the ledger says of the scooter" in both
    assert re.search(rf">{row.index}</a>", both.partition('id="sold-unit"')[2])


def test_who_it_is_is_shown_on_demand_and_logged(house, admin, lead, person):
    """By a form alone; executives, other dealers and reps of other leads are not shown it."""
    assert readings(house) == []
    assert f"+{PHONE}" in admin.post(f"/leads/{lead}/identity").get_data(as_text=True)
    assert readings(house) == ["acc_1"]
    assert person("per_1").post(f"/leads/{lead}/identity").status_code == 200
    assert person("per_m").post(f"/leads/{lead}/identity").status_code == 200
    for who in ("per_e", "per_f"):
        refused = person(who).post(f"/leads/{lead}/identity")
        assert refused.status_code == 404
        assert PHONE not in refused.get_data(as_text=True)
    assert readings(house) == ["acc_1", "per_1", "per_m"]


def test_a_manager_sees_their_dealers_leads_alone(house, market, lead, person):
    """Another dealer's manager finds nothing, by list, by address or by filter."""
    mine, other = person("per_m"), person("per_f")
    assert lead in mine.text("/leads")
    assert lead not in other.text("/leads?dealer=SBY01")
    assert json.loads(other.text("/leads.json"))["items"] == []
    assert other.get(f"/leads/{lead}").status_code == 404
    assert other.get(f"/leads/{lead}.json").status_code == 404


def test_who_decides_about_leads_may_ask_where_one_would_go(market, person):
    """A dealer's manager may ask why not theirs; a rep may not ask who else is near."""
    manager, rep = person("per_m"), person("per_1")
    assert "among the nearest" in manager.text("/leads/nearest?q=-7.2575,112.7521")
    assert "/leads/nearest" in manager.text("/leads")
    assert rep.get("/leads/nearest?q=-7.2575,112.7521").status_code == 403
    assert "/leads/nearest" not in rep.text("/leads")


def test_a_manager_gives_back_hands_over_and_closes(market, lead, person):
    """Each deed by a form with a token; the lead is as it was when it is not theirs."""
    mine, other = person("per_m"), person("per_f")
    for deed, form in (
        ("release", {}),
        ("transfer", {"person": "per_3"}),
        ("close", {"reason": "other"}),
    ):
        assert other.post(f"/leads/{lead}/{deed}", **form).status_code == 404
    assert mine.client.post(f"/leads/{lead}/release").status_code in {400, 403}
    assert mine.post(f"/leads/{lead}/transfer", person="per_3").status_code == 409
    assert mine.post(f"/leads/{lead}/close", reason="<b>a name</b>").status_code == 400
    assert market.get(lead).rep == "per_1"

    market.town.add(a_dealer("SBY01", 1), a_rep(9, "SBY01"))
    assert mine.post(f"/leads/{lead}/transfer", person="per_9").status_code == 303
    assert market.get(lead).rep == "per_9"
    assert mine.post(f"/leads/{lead}/close", reason="unreachable").status_code == 303
    closed = market.get(lead)
    assert (closed.state, closed.close_reason) == ("LOST_UNRESPONSIVE", "unreachable")
    assert mine.post(f"/leads/{lead}/release").status_code == 409


def test_a_rep_claims_on_the_board_what_whatsapp_did_not_bring(market, person):
    """The same race: one wins, the other reads by how much; a manager claims for their people."""
    made = market.lead(contact="cus_2")
    mine, manager, other = person("per_1"), person("per_m"), person("per_f")
    assert mine.get("/").headers["Location"] == "/leads"
    assert f'action="/leads/{made}/claim"' in mine.text("/leads")
    assert "Open offers" not in other.text("/leads")
    assert other.post(f"/leads/{made}/claim", person="per_1").status_code == 404
    assert manager.post(f"/leads/{made}/claim", person="per_3").status_code == 409

    won = manager.post(f"/leads/{made}/claim", person="per_1")

    assert "It is yours." in manager.text(won.headers["Location"])
    assert (market.get(made).state, market.get(made).rep) == ("CLAIMED", "per_1")
    market.tap("per_2", f"CLAIM_{made}", START_MS + 1204)
    slow = person("per_2").text(f"/leads/{made}?by=per_2")
    assert "❌ Too Slow. Rep1 (SBY01) was 1.204 s faster." in slow
    assert "already" in mine.text(mine.post(f"/leads/{made}/claim").headers["Location"])
    assert "Claim</button>" not in mine.text("/leads")
    assert mine.post(f"/leads/{made}/demo").status_code == 303
    assert market.get(made).state == "DEMO_SCHEDULED"


def test_a_released_lead_is_on_the_market_again(admin, market, lead):
    """Not for whoever had it."""
    assert admin.post(f"/leads/{lead}/release").status_code == 303
    assert (market.get(lead).state, market.get(lead).round) == ("UNCLAIMED", 2)


def test_who_reads_only_has_no_deeds(lead, person):
    """An executive sees how leads fare."""
    page = person("per_e").text(f"/leads/{lead}")
    assert "Decide by hand" not in page
    assert person("per_e").post(f"/leads/{lead}/release").status_code == 409


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("q=-7.2575,112.7521", "among the nearest"),
        ("lat=-7.2575&lon=112.7521", "among the nearest"),
        ("lat=0&lon=0", "where no customer is"),
        ("lat=112.75&lon=-7.25", "have changed places"),
        ("lat=52.5&lon=13.4", "not in Indonesia"),
        ("lat=north&lon=1", "are numbers"),
        ("q=Xyzzyville", "No place of this name"),
        ("q=surabaya", "among the nearest"),
        ("", "Place, coordinates or a maps link"),
    ],
)
def test_who_would_get_a_lead_here(market, admin, asked, said):
    """A pin, a place or a link; what cannot be one is said so."""
    assert said in admin.text(f"/leads/nearest?{asked}")


def test_alerts_say_what_follows_and_what_to_do(house, market, admin, person):
    """Open ones first, a dealer's manager their own alone."""
    alerts = Alerts(house.database, market.clock)
    for dealer in ("SBY01", None):
        market.do(
            lambda c, dealer=dealer: alerts.raise_(
                c,
                "P1",
                "x",
                f"x/{dealer}",
                what=f"What {dealer}",
                consequence="Then this.",
                action="Do that.",
                dealer=dealer,
            )
        )
    page = admin.text("/alerts")
    assert "What None" in page
    assert "Do that." in page
    [mine] = json.loads(person("per_m").text("/alerts.json"))["items"]
    assert mine["dealer"] == "SBY01"
    assert person("per_f").get(f"/alerts/{mine['id']}.json").status_code == 404
    shown = json.loads(admin.text(f"/alerts/{mine['id']}.json"))
    assert shown["what"] == "What SBY01"
    found = json.loads(admin.text(shown["occurrences_url"]))
    assert [("What SBY01", shown["first_at"])] == [(o["what"], o["at"]) for o in found["items"]]
    behind = f"{shown['occurrences_url']}&after={found['items'][0]['n']}"
    assert [] == json.loads(admin.text(behind))["items"]
    assert person("per_f").get(shown["occurrences_url"]).status_code == 404


def test_an_alert_is_answered_by_buttons(house, market, admin, person):
    """Acked, put off, closed and judged, as a form or as JSON; not by others, not when closed."""
    alerts = Alerts(house.database, market.clock)
    alert = market.do(
        lambda c: alerts.raise_(
            c,
            "P1",
            "x",
            "x/1",
            what="Late.",
            consequence="Then this.",
            action="Do that.",
            dealer="SBY01",
        )
    )
    mine, path = person("per_m"), f"/alerts/{alert}"
    assert "Do that." in mine.text(path)
    assert mine.client.post(f"{path}/ack").status_code in {400, 403}
    assert mine.post(f"{path}/ack").headers["Location"] == path
    shown = json.loads(mine.text(f"{path}.json"))
    assert (shown["state"], shown["owner"]) == ("acked", "per_m")
    assert person("per_f").post(f"{path}/ack").status_code == 404
    for who in ("per_e", "per_1"):
        assert person(who).post(f"{path}/resolve").status_code == 403
    assert admin.post(f"{path}/snooze", minutes="0").status_code == 422
    assert admin.post(f"{path}/resolve", reason="Budi says so").status_code == 422
    answer = admin.client.post(
        f"{path}/snooze",
        json={"minutes": 60},
        headers={"Accept": "application/json", "X-CSRFToken": admin.token()},
    )
    assert json.loads(answer.data)["state"] == "snoozed"
    assert admin.post(f"{path}/resolve", reason="solved").status_code == 303
    assert admin.post(f"{path}/ack").status_code == 409
    assert admin.post(f"{path}/feedback", opinion="useful").status_code == 303
    assert "worth it" in admin.text(path)
