"""What is logged of a capture: ids and numbers, never a price, a person or a place."""

from collections.abc import Mapping

from edge_agent.buffer.captures import Capture, Stored


def describe(capture: Capture, stored: Stored, mono_ms: int) -> dict[str, object]:
    """Fields of the log line `captured`."""
    fields: dict[str, object] = {
        "mono_ms": mono_ms,
        "type": capture.type,
        "gen": stored.gen,
        "lane": stored.lane,
        "n": stored.n,
    }
    for name in ("till", "receipt", "serial"):
        value = capture.data.get(name)
        if isinstance(value, str):
            fields[name] = value
    sale = capture.data.get("sale")
    if isinstance(sale, Mapping):
        fields["sale_gen"], fields["sale_n"] = sale.get("gen"), sale.get("n")
    return fields
