"""A server in Meta's place."""

import pytest

from hub.integrations.whatsapp.channel import MetaChannel
from hub.integrations.whatsapp.graph import Graph, GraphSettings
from hub.integrations.whatsapp.template_book import TemplateBook
from tests.fakes.scripted_server import scripted_server


@pytest.fixture
def meta():
    """Answers as told."""
    with scripted_server() as script:
        yield script


@pytest.fixture
def graph(meta):
    """The Graph API as that server."""
    return Graph(GraphSettings(api_url=meta.url, access_token="token", answer_timeout_ms=400))


@pytest.fixture
def book():
    """Two templates for offers, nothing known of them."""
    return TemplateBook({"offer": ["lead_offer_v1", "lead_offer_v2"]})


@pytest.fixture
def channel(graph, book):
    """The reps' number."""
    return MetaChannel("reps", phone_number_id="1122", graph=graph, templates=book)
