"""Closing an epoch: one answer, however many ask at once."""

import threading

import pytest
from sqlalchemy import text

from hub.errors import Refused
from tests.checks.whole_ledger import findings
from tests.fakes.hub_boxes import DEADLINE_S, Box, running
from tests.fakes.postgres import until_blocked


def race(one, two, three, nonces):
    """Ask two hub processes at one moment to close epoch 1 of a box; what each of them answers."""
    box = Box(1).enrolled(one)
    device = one.devices.find(box.key.public.keyid)[0]
    outcomes = []
    inside, release = threading.Event(), threading.Event()

    def hold(connection):
        # Readers pass, writers wait: both racers have looked before either has written.
        connection.execute(text("LOCK TABLE epoch IN SHARE MODE"))
        inside.set()
        release.wait(DEADLINE_S)

    def run(hub, nonce):
        try:
            head = hub.devices.open_epoch(device, close=1, nonce=nonce, reason="restored")
        except Refused as refused:
            outcomes.append(refused.problem.code)
        else:
            outcomes.append(head["epoch"])

    holder = threading.Thread(target=three.database.write, args=(hold,))
    holder.start()
    assert inside.wait(DEADLINE_S)
    racers = [
        threading.Thread(target=run, args=pair) for pair in zip((one, two), nonces, strict=True)
    ]
    for racer in racers:
        racer.start()
    until_blocked(three.database, 2)
    release.set()
    for thread in (holder, *racers):
        thread.join(DEADLINE_S)
    return box, outcomes


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("nonces", "expected"),
    [(("a", "a"), [2, 2]), (("a", "b"), [2, "epoch-closed"])],
    ids=["one request twice", "two requests"],
)
def test_two_closings_at_once_end_in_one_epoch(tmp_path, postgres_url, nonces, expected):
    """The same nonce gets the same answer from both processes, another one is told to look again;
    the ledger holds one new epoch."""
    with (
        running(tmp_path, postgres_url) as one,
        running(tmp_path, postgres_url) as two,
        running(tmp_path, postgres_url) as three,
    ):
        box, outcomes = race(one, two, three, nonces)

        assert sorted(outcomes, key=str) == expected
        with one.database.read() as connection:
            assert one.ledger.epoch(connection, box.device) == 2
        assert one.ledger.size() == 2
        assert findings(one) == []
