"""Who acts on what comes in, and what has time meanwhile."""

import pytest

from hub.inbox import store
from hub.inbox.service import FEW, LEFT_MS
from hub.store import Database, Statement
from hub.switchboard import DUE_WAIT_MS
from tests.fakes.manual_clock import ManualClock
from tests.fakes.one_dealer import open_network
from tests.hub.test_claim_runs import PEOPLE, REPS, SETTINGS, delivery, pressed


class House:
    """A hub, and what comes in."""

    def __init__(self, folder, url):
        self.clock = ManualClock()
        self.hub = open_network(SETTINGS.format(folder=folder, database=url), PEOPLE, self.clock)
        self.leads = self.hub.leads
        self.came = 0

    def tap(self):
        """A rep taps on a lead that does not exist: acted on, and no more."""
        self.came += 1
        row = delivery(self.came, REPS[0], pressed("CLAIM_led_none"), wamid=self.came, at_ms=0)
        self.leads.inbox.keep("whatsapp", row.body, {})

    def waiting(self):
        """How many deliveries wait."""
        with self.hub.database.look() as connection:
            [[count]] = Statement("SELECT count(*) FROM inbox WHERE state = 'new'").rows(connection)
        return count


@pytest.fixture
def house(tmp_path, database_url):
    """A hub on each engine."""
    opened = House(tmp_path, database_url)
    yield opened
    opened.leads.sender.close()
    opened.hub.close()


def test_who_taps_does_not_wait_for_what_has_time(house):
    """While taps come in, what time has made due is looked for now and then; else at every step."""
    looked, step = [], house.leads.leads.step

    def noted(now_ms):
        looked.append(now_ms)
        return step(now_ms)

    house.leads.leads.step = noted
    for _ in range(3):
        house.tap()
        house.leads.step()
    assert 1 == len(looked)
    house.clock.advance(DUE_WAIT_MS)
    house.tap()
    house.leads.step()
    assert 2 == len(looked)
    house.leads.step()
    assert 3 == len(looked)


@pytest.mark.postgres
def test_who_sends_leaves_taps_to_another_process_that_is_at_them(tmp_path, postgres_url):
    """As long as that one follows; and alone it acts on them itself."""
    house, other = House(tmp_path, postgres_url), Database(postgres_url)
    house.leads.sender.step()
    house.tap()
    house.leads.step()
    assert 0 == house.waiting()

    for _ in range(FEW + 1):
        house.tap()
    other.write(lambda c: (store.take(c, 1), house.leads.step()))
    house.leads.step()
    assert not house.leads.news()
    assert FEW + 1 == house.waiting()  # they are the other's

    house.clock.advance(LEFT_MS)
    assert house.leads.news()
    house.leads.step()
    assert 0 == house.waiting()
    house.tap()
    house.leads.step()
    assert 0 == house.waiting()
    house.leads.sender.close()
    house.hub.close()
    other.close()
