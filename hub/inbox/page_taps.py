"""Taps on our own pages as deliveries: numbered among those of WhatsApp, so that one order decides.

Only the hub itself keeps bodies of this source; no door outside takes them.
"""

from typing import Final

import orjson

from hub.inbox.incoming import PageTap, Parsed

SOURCE: Final = "page"


def written(tap: PageTap, *, by: str) -> bytes:
    """The body to keep. `by`: who pressed it (per_… or acc_…), for whoever looks at it later."""
    return orjson.dumps({"person": tap.person, "button": tap.button, "by": by})


def parse(body: bytes) -> Parsed:
    """What `written` wrote; anything else holds nothing and says so."""
    try:
        found = orjson.loads(body)
        return Parsed((PageTap(person=str(found["person"]), button=str(found["button"])),))
    except (ValueError, KeyError, TypeError):
        return Parsed((), ("not a tap of our pages",))
