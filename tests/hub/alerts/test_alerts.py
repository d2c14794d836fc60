"""One open alert per key, in the contract's words."""

import threading

import pytest
from sqlalchemy.exc import DBAPIError

from hub.alerts.service import Alerts
from hub.outbox.messages import Failed
from hub.outbox.service import Outbox
from hub.store import Database
from shared.identifiers import new_id
from tests.fakes.manual_clock import ManualClock
from tests.fakes.scripted_channel import draft

SAID = {"consequence": "The customer waits.", "action": "Call them."}
KEYS = {
    *("id", "tier", "rule", "rule_version", "key", "state", "active", "seen", "region", "dealer"),
    *("serial", "what", "consequence", "action", "act_by", "owner", "count", "first_at"),
    *(
        "last_at",
        "closed_at",
        "close_reason",
        "snoozed_until",
        "absorbed_by",
        "occurrences_url",
        "deliveries",
    ),
}


@pytest.fixture
def clock():
    """Time that stands still."""
    return ManualClock()


@pytest.fixture
def alerts(database, clock):
    """No alerts."""
    return Alerts(database, clock)


def unclaimed(alerts, database, region="JATIM", what="Nobody claimed."):
    """Raise one; its id."""
    return database.write(
        lambda connection: alerts.raise_(
            connection,
            "P0",
            "lead_unclaimed",
            f"lead_unclaimed/{region}",
            what=what,
            region=region,
            owner="per_m",
            **SAID,
        )
    )


def test_the_same_trouble_again_is_counted_and_another_is_another(alerts, database, clock):
    """One key, one alert with first and last; it says what is known last."""
    first = unclaimed(alerts, database)
    clock.advance(90_000)
    again = unclaimed(alerts, database, what="Two are unclaimed.")
    other = unclaimed(alerts, database, region="BALI")

    assert first == again != other
    shown = alerts.show(first)
    assert KEYS == set(shown)
    assert (2, "open", True, False, "Two are unclaimed.", "P0", "JATIM", "per_m") == tuple(
        shown[key]
        for key in ("count", "state", "active", "seen", "what", "tier", "region", "owner")
    )
    assert ("2027-01-15T08:00:00.000Z", "2027-01-15T08:01:30.000Z", None) == (
        shown["first_at"], shown["last_at"], shown["act_by"],
    )  # fmt: skip
    assert f"/alerts/{first}.json?part=occurrences" == shown["occurrences_url"]


def test_every_occurrence_is_kept(alerts, database, clock):
    """What was found when, page by page; of another alert nothing."""
    first = unclaimed(alerts, database)
    for number in (2, 3):
        clock.advance(60_000)
        unclaimed(alerts, database, what=f"{number} are unclaimed.")
        unclaimed(alerts, database, region="BALI")

    page = alerts.occurrences(first, 0, 2)
    assert [
        ("2027-01-15T08:00:00.000Z", "Nobody claimed."),
        ("2027-01-15T08:01:00.000Z", "2 are unclaimed."),
    ] == [(item["at"], item["what"]) for item in page["items"]]
    rest = alerts.occurrences(first, page["next"], 2)
    assert ["3 are unclaimed."] == [item["what"] for item in rest["items"]]
    assert rest["next"] is None


def test_the_first_tier_comes_first_page_by_page(alerts, database):
    """Nobody looks for what burns below what smoulders; each alert is on one page."""

    def raised(tier):
        return database.write(
            lambda c: alerts.raise_(c, tier, "rule", f"{tier}/{new_id('key')}", what="x", **SAID)
        )

    late, odd, soon, worst = (raised(tier) for tier in ("P2", "P1", "P1", "P0"))
    page = alerts.page(None, 2, worst_first=True)
    assert [worst, odd] == [item["id"] for item in page["items"]]
    page = alerts.page(page["next"], 2, worst_first=True)
    assert [soon, late] == [item["id"] for item in page["items"]]


def test_a_closed_alert_stays_and_the_next_trouble_is_a_new_one(alerts, database):
    """Closed once, with the reason; the same key then opens another alert."""
    first = unclaimed(alerts, database)
    key = "lead_unclaimed/JATIM"
    assert database.write(lambda c: alerts.close(c, key, "claimed"))
    assert not database.write(lambda c: alerts.close(c, key, "claimed"))
    second = unclaimed(alerts, database)

    assert first != second
    closed = alerts.show(first)
    assert ("closed", False, "claimed") == (
        closed["state"], closed["active"], closed["close_reason"],
    )  # fmt: skip
    assert closed["closed_at"] is not None
    assert [second] == [item["id"] for item in alerts.page(None, 9, only_open=True)["items"]]
    page = alerts.page(None, 1)
    assert ([first], first) == ([item["id"] for item in page["items"]], page["next"])
    page = alerts.page(page["next"], 1)
    assert ([second], None) == ([item["id"] for item in page["items"]], page["next"])


@pytest.mark.parametrize("empty", ["what", "consequence", "action"])
def test_nobody_is_disturbed_without_a_consequence_and_an_action(alerts, database, empty):
    """An alert without them is a programming error, found where it is raised."""
    said = {"what": "Nobody claimed.", **SAID, empty: " "}
    with pytest.raises(ValueError, match=f"without {empty}"):
        database.write(lambda c: alerts.raise_(c, "P1", "rule", "key", **said))


def test_the_database_knows_the_tiers(alerts, database):
    """A tier that does not exist is refused by the schema."""
    with pytest.raises(DBAPIError):
        database.write(lambda c: alerts.raise_(c, "P9", "rule", "key", what="x", **SAID))


def test_two_processes_raise_one_alert(alerts, database, clock):
    """Raised at the same moment by two processes: one alert, and every raising is counted."""
    elsewhere = Database(database.url.render_as_string(hide_password=False))
    both = [(alerts, database), (Alerts(elsewhere, clock), elsewhere)]

    def raise_often(mine, opened):
        for _ in range(25):
            unclaimed(mine, opened)

    try:
        threads = [threading.Thread(target=raise_often, args=each) for each in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        elsewhere.close()

    [only] = alerts.page(None, 9)["items"]
    assert 50 == only["count"]


def test_a_number_that_the_vendor_stops_is_an_alert_until_it_works_again(alerts, database):
    """Stopped twice is one P0; the first message that is taken closes it."""
    failed = Failed("stop", 131042, "payment issue")
    for _ in range(2):
        database.write(lambda c: alerts.number_stopped(c, "brand", failed))
    [alert] = alerts.page(None, 9)["items"]
    assert ("P0", 2, "number_stopped/brand") == (alert["tier"], alert["count"], alert["key"])
    assert "payment issue (131042)" in alert["what"]

    database.write(lambda c: alerts.number_resumed(c, "brand"))
    assert [] == alerts.page(None, 9, only_open=True)["items"]


def test_what_was_sent_about_an_alert_is_shown_with_it(alerts, database, clock):
    """Deliveries are the outbox's rows about it, in the contract's words."""
    alert = unclaimed(alerts, database)
    outbox = Outbox(database, clock)
    out_id = database.write(
        lambda c: outbox.enqueue(c, draft("p0", to="per_m", ref=alert, kind="firing"))
    )

    assert [
        {
            "id": out_id, "to": "per_m", "channel": "whatsapp", "kind": "firing",
            "state": "queued", "reason": None, "at": "2027-01-15T08:00:00.000Z",
        }
    ] == alerts.show(alert)["deliveries"]  # fmt: skip


def test_deeds_change_what_is_open_and_stay_on_record(alerts, database, clock):
    """Acked, put off until it is open again by itself, closed once; judged even after that."""
    alert, deeds = unclaimed(alerts, database), alerts.deeds

    assert deeds.ack(alert, by="per_b")
    assert ("acked", "per_b", True) == tuple(
        alerts.show(alert)[k] for k in ("state", "owner", "seen")
    )
    assert deeds.snooze(alert, by="per_b", minutes=60)
    clock.advance(3_599_000)
    assert "snoozed" == alerts.show(alert)["state"]
    clock.advance(1_000)
    assert "open" == alerts.show(alert)["state"]
    assert deeds.resolve(alert, by="acc_1", reason="solved")
    assert not deeds.resolve(alert, by="acc_1", reason="solved")
    assert not deeds.ack(alert, by="per_b")
    assert deeds.feedback(alert, by="per_b", opinion="useless")
    assert not deeds.feedback("alr_gone", by="per_b", opinion="useful")

    shown = alerts.show(alert)
    assert ("closed", False, "solved") == (shown["state"], shown["active"], shown["close_reason"])
    assert [("ack", None), ("snooze", "60"), ("resolve", "solved"), ("feedback", "useless")] == [
        (done.deed, done.value) for done in deeds.history(alert)
    ]
    assert unclaimed(alerts, database) != alert
