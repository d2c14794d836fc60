"""A lead that somebody brings by hand: whose it is, what is refused, and once for each form."""

import pytest
from sqlalchemy import text

WISH = {"phone": "0812 3456 7890", "name": "Siti", "place": "Wonokromo, Surabaya", "agreed": "yes"}
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def stores(market, person):
    """Of the fixtures: three stores with a rep each, and their people."""
    return market, person


def brought(visitor, headers=JSON, **form):
    """The answer to the form, as a program asks for it."""
    fields = {"csrf_token": visitor.token(), **form}
    return visitor.client.post("/portal/leads", data=fields, headers=headers)


def leads(house):
    """State, dealer, rep and source of every lead."""
    with house.database.read() as connection:
        rows = connection.execute(text("SELECT state, dealer, rep, source FROM lead ORDER BY id"))
        return [tuple(row) for row in rows]


def test_a_reps_walk_in_is_theirs(house, person):
    """They get the card; nobody is asked to race for who stands in front of them."""
    answer = brought(person("per_1"), **WISH)

    assert 201 == answer.status_code
    assert "CLAIMED" == answer.json["state"]
    assert {"dealer": "SBY01", "rep": "per_1"} == answer.json["owner"]
    assert "2026-11-counter" == answer.json["customer"]["consent_version"]
    assert "Siti" not in answer.text
    assert [draft.to for draft in house.market.outbox.said("card")] == ["per_1"]
    assert [("CLAIMED", "SBY01", "per_1", "walk_in")] == leads(house)


def test_a_manager_says_whose_it_is_or_leaves_it_to_the_market(house, person):
    """Their own people alone may be named."""
    manager = person("per_m")

    assert "QUALIFIED" == brought(manager, **WISH).json["state"]
    given = brought(manager, phone="0812 3456 7891", rep="per_1", agreed="yes")
    assert {"dealer": "SBY01", "rep": "per_1"} == given.json["owner"]

    wrong = brought(manager, phone="0812 3456 7892", rep="per_2")
    assert (422, {"rep": "not_yours"}) == (wrong.status_code, wrong.json["fields"])
    assert 2 == len(leads(house))


def test_a_walk_in_without_a_place_stands_in_the_store(house, person):
    """It is nearest to where it was written down; another source says nothing of a place."""
    manager = person("per_m")
    brought(manager, phone="0812 3456 7890")
    brought(manager, phone="0812 3456 7891", source="partner")

    with house.database.read() as connection:
        rows = connection.execute(text("SELECT source, lat_udeg FROM lead ORDER BY source"))
        assert [("partner", None), ("walk_in", -7_257_500)] == [tuple(row) for row in rows]


def test_a_customer_with_an_open_lead_changes_no_hands(house, person):
    """The owner of that one hears that they asked again; a page says so and no more."""
    brought(person("per_1"), **WISH)
    other = person("per_2")

    answer = other.post("/portal/leads", **WISH)
    assert (303, "/portal/leads?said=known") == (answer.status_code, answer.location)
    assert "has a lead already" in other.text(answer.location)
    assert ["per_1"] == [draft.to for draft in house.market.outbox.said("again")]
    assert ("DUPLICATE", None, None, "walk_in") in leads(house)


def test_a_form_that_is_sent_twice_is_one_lead(house, person):
    """Its key goes with it; the same key with other words is refused."""
    rep = person("per_1")
    first, again = brought(rep, key="k", **WISH), brought(rep, key="k", **WISH)

    assert (201, 201) == (first.status_code, again.status_code)
    assert first.json["id"] == again.json["id"]
    assert 1 == len(leads(house))
    assert 409 == brought(rep, key="k", phone="0812 3456 7899").status_code


def test_every_wrong_field_is_named(house, person):
    """To programs by code, to people in words beside the field, with what they typed."""
    rep = person("per_1")
    answer = brought(rep, phone="021 555 1234", payment="gold", lat="x", lon="112.7")

    assert 422 == answer.status_code
    assert {"phone": "not_mobile", "payment": "unknown_word", "lat": "not_a_number"} == answer.json[
        "fields"
    ]
    page = rep.post("/portal/leads", phone="021 555 1234", name="Siti")
    assert 422 == page.status_code
    assert "That is no mobile number" in page.text
    assert 'value="Siti"' in page.text
    assert [] == leads(house)


def test_json_is_taken_as_well(house, person):
    """With the token in a header; what is no object is a 400."""
    rep = person("per_1")
    headers = {"X-CSRFToken": rep.token(), **JSON}
    body = {"phone": "+62 812-3456-7890", "source": "walk_in", "model": None, "tags": ["x"]}
    body |= {"consent_version": "2026-11-counter", "consent_at": "2026-11-30T09:00:00+07:00"}

    answer = rep.client.post("/portal/leads", json=body, headers=headers)
    assert (201, "CLAIMED") == (answer.status_code, answer.json["state"])
    assert 400 == rep.client.post("/portal/leads", json=["x"], headers=headers).status_code
    assert 403 == rep.client.post("/portal/leads", json=body, headers=JSON).status_code


@pytest.mark.parametrize(
    ("odd", "status", "fields"),
    [
        ({"note": 10**30, "name": "half \ud800 a pair"}, 201, None),
        ({"lat": float("nan"), "lon": 112.7}, 422, {"lat": "outside_indonesia"}),
        ({"rep": ["per_1"], "phone": {"a": 1}}, 422, {"phone": "missing"}),
        ({"key": "k\ud800"}, 422, {"key": "malformed"}),
        ({"key": "k" * 101}, 422, {"key": "malformed"}),
        ({"key": 10**30}, 201, None),
    ],
)
def test_odd_json_is_taken_or_named(house, person, odd, status, fields):
    """Nothing that JSON can hold breaks the door."""
    rep = person("per_1")
    headers = {"X-CSRFToken": rep.token(), **JSON}
    body = {"phone": "+62 812-3456-7890", **odd}

    answer = rep.client.post("/portal/leads", json=body, headers=headers)
    assert (status, fields) == (answer.status_code, answer.json.get("fields"))
    assert (status == 201) == bool(leads(house))


def test_who_may_write_one_down(house, person, admin):
    """Reps and whoever decides about leads; not who only looks on."""
    assert 403 == person("per_e").get("/portal/leads").status_code
    assert 403 == brought(person("per_e"), **WISH).status_code
    assert "New lead" in admin.text("/leads")
    page = admin.text("/portal/leads")
    assert "Write it down" in page
    assert 'href="/leads" aria-current="page"' in page
    assert 201 == brought(admin, **WISH).status_code
    assert "whoever claims it first" in person("per_m").text("/portal/leads")
    assert "whoever claims it first" not in person("per_1").text("/portal/leads")


def test_without_consent_it_is_kept_and_given_to_nobody(house, person, admin):
    """Head office sees that somebody came; no card goes out and nobody is written to."""
    rep = person("per_1")
    answer = brought(rep, phone="0812 3456 7890")

    assert ("QUALIFIED", None) == (answer.json["state"], answer.json["customer"]["consent_version"])
    assert (None, None) == (answer.json["owner"], answer.json["next_step_at"])
    assert {} == house.market.outbox.drafts
    assert answer.json["id"] in admin.text("/leads.json")
    page = rep.post("/portal/leads", phone="0812 3456 7891")
    assert "given to nobody" in rep.text(page.location)
