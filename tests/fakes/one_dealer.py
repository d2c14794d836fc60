"""A whole hub of leads with one dealer that never closes, everything in the caller's thread."""

from hub.config import parse_config
from hub.keys import create_keys
from hub.wiring import Hub, open_hub
from shared.clock import Clock

REGIONS = b"code,name,timezone\nJATIM,Jawa Timur,WIB\n"
MODELS = b"code,name,has_telemetry,active\nE8,E8 Pro,yes,yes\nX1,X1 Lite,yes,yes\n"
DEALERS = (
    b"code,name,region,lat,lon,timezone,hours,authorised\n"
    b"SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Sun 00:00-24:00,yes\n"
)
PEOPLE_HEAD = b"id,name,role,dealers,phone,wa_opt_in_at\n"


def open_network(settings: str, people: bytes, clock: Clock) -> Hub:
    """The hub of these settings, with new keys; `people` are the rows of a people's file."""
    config = parse_config(settings)
    create_keys(config.server.keys_dir)
    hub = open_hub(config, clock=clock, threaded=False)
    registry = hub.registry
    for book, content in (
        (registry.regions, REGIONS),
        (registry.models, MODELS),
        (registry.dealers, DEALERS),
        (registry.people, PEOPLE_HEAD + people),
    ):
        assert not book.import_file(content).refused
    return hub
