"""What the hub's journal says, and what it never says."""

import structlog


def test_a_traceback_names_the_line_and_shows_no_value(capsys):
    """A customer's phone in a variable would be in the journal otherwise; stdout stays free."""

    def handle(phone):
        known: dict[int, str] = {}
        return known[len(phone)]

    somebody = "62812" + "34567890"
    try:
        handle(somebody)
    except KeyError:
        structlog.get_logger("test").exception("row_failed", row="inb_1")

    said = capsys.readouterr()
    assert said.out == ""
    assert "row_failed" in said.err
    assert "row=inb_1" in said.err
    assert "return known[len(phone)]" in said.err
    assert "6281234567890" not in said.err
