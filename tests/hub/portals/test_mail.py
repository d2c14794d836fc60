"""Inbox and outbox as pages: why something was kept, who read it, and once more."""

import json

import pytest
from sqlalchemy import select

from hub.contacts.service import Contacts
from hub.contacts.store import IDENTITY_READING
from hub.inbox.service import Inbox, Outcome
from hub.outbox import store as outbox
from tests.fakes.lead_market import START_MS
from tests.fakes.scripted_channel import draft

PHONE = "6281234567890"


@pytest.fixture
def inbox(house):
    """Two deliveries: one acted on, one kept because nobody could read it."""
    inbox = Inbox(house.database, house.market.clock)
    customer = house.market.do(
        lambda c: Contacts(b"k" * 32).meet(c, phone=PHONE, name="Budi", now_ms=START_MS)
    )
    inbox.keep("whatsapp", b'{"from":"6281234567890","text":"halo"}', {"Content-Length": "38"})
    inbox.keep("qontak", b"<b>not json</b>", {})

    def handle(_connection, row):
        if row.source == "qontak":
            return Outcome("kept", "no JSON at byte 0")
        return Outcome("done", None, (customer,))

    while inbox.step(handle):
        pass
    return inbox


def rows(admin, path="/inbox.json"):
    """What a list holds."""
    return json.loads(admin.text(path))["items"]


def test_the_inbox_says_why_and_lists_no_bodies(inbox, admin):
    """Newest first, by state and source; the contract's words in every form."""
    page = admin.text("/inbox")
    assert "no JSON at byte 0" in page
    assert PHONE not in page
    assert [("qontak", "kept", "no JSON at byte 0"), ("whatsapp", "done", None)] == [
        (row["source"], row["state"], row["reason"]) for row in rows(admin)
    ]
    assert ["qontak"] == [row["source"] for row in rows(admin, "/inbox.json?state=kept")]
    assert "Nothing matches" in admin.text("/inbox?state=new")
    assert admin.get("/inbox?state=odd").status_code == 400
    assert admin.text("/inbox.csv").startswith("id,source,received_at,state,reason")
    newest, oldest = rows(admin)
    assert [oldest] == rows(admin, f"/inbox.json?after={newest['id']}")


def test_what_a_delivery_holds_is_shown_on_demand_and_logged(house, inbox, admin):
    """In the log of the delivery and of the customer, before it is shown."""
    path = f"/inbox/{rows(admin)[1]['id']}"
    assert PHONE not in admin.text(path)
    assert PHONE not in admin.text(path + ".json")

    shown = admin.post(path + "/body").get_data(as_text=True)

    assert PHONE in shown
    assert "Who was shown it" in admin.text(path)
    with house.database.read() as connection:
        assert ["acc_1"] == list(connection.scalars(select(IDENTITY_READING.c.by)))
    assert "&lt;b&gt;not json" in admin.post(f"/inbox/{rows(admin)[0]['id']}/body").text


def test_a_kept_delivery_is_acted_on_again(house, inbox, admin):
    """For as long as its body is there; after that the page says so."""
    delivery = rows(admin)[0]["id"]
    assert admin.post(f"/inbox/{delivery}/replay").status_code == 303
    assert rows(admin)[0]["state"] == "new"
    inbox.step(lambda _c, _row: Outcome("done"))
    assert rows(admin)[0]["state"] == "done"
    house.market.clock.set_wall(START_MS + 31 * 86_400_000)
    inbox.forget(30)
    assert "no longer kept" in admin.text(f"/inbox/{delivery}")
    assert admin.post(f"/inbox/{delivery}/replay").status_code == 410
    assert admin.post("/inbox/inb_gone/replay").status_code == 404
    assert admin.post("/inbox/inb_gone/body").status_code == 404


def test_the_outbox_says_what_did_not_go_and_why(house, admin):
    """By state; the words themselves are nowhere."""
    assert "Nothing was to be said yet" in admin.text("/outbox")
    for number, state in enumerate(("failed", "withheld", "sending")):
        one = draft(key=f"k/{number}", to="per_1")
        out_id, why = f"out_{number}", f"because {number}"
        house.market.do(lambda c, one=one, out_id=out_id: outbox.add(c, [(out_id, one)], START_MS))
        house.market.do(
            lambda c, out_id=out_id, state=state, why=why: outbox.change(
                c, out_id, state=state, reason=why
            )
        )
    assert "because 0" in admin.text("/outbox?state=failed")
    assert "because 1" not in admin.text("/outbox?state=failed")
    assert [("out_2", "queued")] == [
        (row["id"], row["state"]) for row in rows(admin, "/outbox.json?state=queued")
    ]
    assert ["out_1", "out_0"] == [row["id"] for row in rows(admin, "/outbox.json?after=out_2")]
