"""Whose leads and alerts somebody reaches: tried at every address that names one."""

import json

import pytest

from hub.alerts.service import Alerts
from hub.registry.service import Registry
from tests.fakes.lead_market import a_dealer, a_rep

REGIONS = b"code,name,timezone\nJATIM,Jawa Timur,WIB\nBALI,Bali,WITA\n"
DEALERS = (
    b"code,name,region,lat,lon,timezone,hours,authorised\n"
    b"SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Sun 00:00-23:59,yes\n"
    b"SBY02,Sidoarjo,JATIM,-7.2575,112.7521,WIB,Mon-Sun 00:00-23:59,yes\n"
    b"DPS01,Denpasar,BALI,-8.65,115.21,WITA,Mon-Sun 00:00-23:59,yes\n"
)
PEOPLE = b"""id,name,role,dealers,regions,language
per_1,Rudi,rep,SBY01,,en
per_m,Mira,dealer_manager,SBY01,,en
per_j,Joko,regional_manager,,JATIM,en
per_b,Bayu,regional_manager,,BALI,en
per_d,Dewi,dealer_manager,DPS01,,en
per_r,Rai,rep,DPS01,,en
"""
OTHERS = ("per_b", "per_d", "per_r")


@pytest.fixture
def sign_in(house):
    """Two regions; a lead and alerts of the first, and whoever signs in."""
    registry, market = Registry(house.database), house.market
    assert not registry.regions.import_file(REGIONS).refused
    assert not registry.dealers.import_file(DEALERS).refused
    assert not registry.people.import_file(PEOPLE).refused
    market.town.add(a_dealer("SBY01", 1), a_rep(1, "SBY01"))

    def visit(who):
        visitor = house.visitor()
        visitor.sign_in_by(house.accounts.person_link(who, now_ms=house.net.clock.now_ms))
        return visitor

    return visit


@pytest.fixture
def objects(house, sign_in):
    """A claimed lead and an alert about it, by the name that addresses give them."""
    market = house.market
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    alerts = Alerts(house.database, market.clock)
    raised = [
        market.do(
            lambda c, region=region: alerts.raise_(
                c, "P1", "x", f"x/{region}", what="a", consequence="b", action="c", region=region
            )
        )
        for region in ("JATIM", "BALI", None)
    ]
    return {"lead": lead, "alert": raised[0]}


def addresses(house, objects):
    """Every address of the pages that names a lead or an alert, with its methods."""
    bound = house.app.url_map.bind("localhost")
    for rule in house.app.url_map.iter_rules():
        wanted = rule.arguments & {"lead", "alert"}
        if not wanted or rule.rule.startswith("/api/"):
            continue
        values = {name: objects[name] for name in wanted}
        for deed in _choices(rule):
            path = bound.build(rule.endpoint, values | deed)
            yield from ((method, path) for method in rule.methods & {"GET", "POST"})


def _choices(rule):
    """One address for each word of a list in the rule."""
    lists = [
        (name, converter.items)
        for name, converter in rule._converters.items()
        if hasattr(converter, "items")
    ]
    return [{name: word} for name, words in lists for word in words] or [{}]


@pytest.mark.parametrize("who", OTHERS)
def test_nobody_reaches_what_is_another_region_s(house, objects, sign_in, who):
    """A regional manager, a dealer's manager and a rep of Bali, at every address there is."""
    visitor = sign_in(who)
    token, before = visitor.token("/leads"), house.market.get(objects["lead"])
    tried = list(addresses(house, objects))
    assert len(tried) > 15
    reached = []
    for method, path in tried:
        form = {"csrf_token": token, "person": "per_r", "reason": "other"}
        data = form if method == "POST" else None
        answer = visitor.client.open(path, method=method, data=data)
        if answer.status_code not in {403, 404}:
            reached.append((method, path, answer.status_code))
    assert [] == reached
    assert before == house.market.get(objects["lead"])
    assert objects["lead"] not in visitor.text("/leads.json")


def test_a_regional_manager_sees_their_regions_alone(objects, sign_in):
    """Leads and alerts of their region; those of the whole network are head office's."""
    for who, leads, regions in (("per_j", 1, ["JATIM"]), ("per_b", 0, ["BALI"])):
        visitor = sign_in(who)
        assert leads == len(json.loads(visitor.text("/leads.json"))["items"])
        alerts = json.loads(visitor.text("/alerts.json"))["items"]
        assert regions == [alert["region"] for alert in alerts]
    mine = sign_in("per_j")
    assert mine.get(f"/leads/{objects['lead']}").status_code == 200
    assert mine.post(f"/alerts/{objects['alert']}/ack").status_code == 303


def test_the_navigation_counts_what_one_may_see(house, sign_in):
    """An unclaimed lead of the one region is no news to the manager of the other."""
    house.market.lead()
    assert "1 free" in sign_in("per_j").text("/leads")
    assert "1 free" not in sign_in("per_b").text("/leads")
