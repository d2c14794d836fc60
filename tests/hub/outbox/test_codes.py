"""Each error code of WhatsApp's has its consequence, told at once or after it was accepted."""

import pytest

from hub.outbox.codes import ACTIONS, meaning_of
from hub.outbox.messages import Failed
from hub.outbox.rules import HELD_WAIT_MS, STOP_MS
from hub.store import METADATA, Database
from tests.fakes.scripted_channel import draft
from tests.hub.outbox.test_sender import Desk

TABLE = {
    "as template": [131047],
    "failed": [
        *(100, 130472, 130497, 131008, 131009, 131021, 131026, 131030, 131049, 131050, 131051),
        *(131052, 131053, 131062, 132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016),
        135000,
    ],
    "one waits": [131056, 1, 2, 131000, 131016, 131057],
    "all wait": [4, 80007, 130429, 133016],
    "all wait, alert": [
        *(0, 3, 10, 33, 190, 200, 299, 368, 131005, 131031, 131037, 131042, 131045, 133010)
    ],
    "strangers wait, alert": [131048],
}
"""What integrations.md 1.11 asks for."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """One outbox for all codes: each begins where everything works."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('codes') / 'hub.db'}")
    database.write(METADATA.create_all)
    made = Desk(database)
    yield made
    made.sender.close()
    database.close()


def consequence(desk, out_id, to):
    """What a refusal has done to the message and to others."""
    alert = ", alert" if desk.stopped else ""
    with desk.database.read() as connection:
        [row] = [row for row in desk.outbox.of(connection, "led_1") if row.id == out_id]
    desk.open_window(f"{to}_known")
    desk.say(draft(f"{out_id}/known", to=f"{to}_known"), draft(f"{out_id}/new", to=f"{to}_new"))
    before = len(desk.channel.calls)
    desk.run()
    reached = {call.to.rpartition("_")[2] for call in desk.channel.calls[before:]}
    if row.as_template:
        return "as template"
    if "known" not in reached:
        return "all wait" + alert
    if "new" not in reached:
        return "strangers wait" + alert
    return "failed" if row.state == "failed" else "one waits"


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
@pytest.mark.parametrize(
    ("code", "expected"), [(code, word) for word, listed in TABLE.items() for code in listed]
)
def test_each_code_has_its_consequence(desk, code, expected, late):
    """Message, recipient and number do what the table says, whenever the vendor says it; and
    what only waits goes out once the trouble is over."""
    to = f"per_{code}_{late}"
    if meaning_of(code) != "spam":
        desk.open_window(to)
    desk.stopped.clear()
    desk.resumed.clear()
    refusal = Failed(meaning_of(code) or "permanent", code, "refused")
    desk.channel.script = [] if late else [refusal]
    [out_id] = desk.say(draft(to, to=to, kind="reminder"))
    desk.sender.step()
    if late:
        desk.status("failed", out_id, f"wamid.{next(desk.channel.numbers) - 1}", code=code)

    assert expected == consequence(desk, out_id, to)

    for _ in range(3):
        desk.clock.advance(max(STOP_MS, HELD_WAIT_MS))
        desk.run()
    with desk.database.read() as connection:
        [row] = [row for row in desk.outbox.of(connection, "led_1") if row.id == out_id]
    assert ("failed" if expected == "failed" else "accepted") == row.state
    desk.status("sent", out_id, row.provider_id)
    assert ["brand"] * expected.count("alert") == desk.resumed


def test_the_table_is_whole():
    """No code of ours is without a row here."""
    assert set(ACTIONS) <= {code for listed in TABLE.values() for code in listed}
