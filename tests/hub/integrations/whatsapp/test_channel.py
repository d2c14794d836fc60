"""Messages out, over real HTTP: each answer, refusal and silence has its consequence."""

import pytest

from hub.integrations.whatsapp.channel import MetaChannel
from hub.integrations.whatsapp.graph import Graph, GraphSettings
from hub.outbox.codes import ACTIONS
from hub.outbox.messages import Accepted, Address, Button, Failed, Rendered, TemplateUse
from tests.fakes.scripted_server import HANG_UP, OK, SILENCE

BUDI = Address(phone="6281234567890", bsuid="ID.1349")
OFFER = Rendered(
    text="Lead baru: E8, 3,2 km",
    buttons=(Button("CLAIM_led_1", "Claim"), Button("SKIP_led_1", "Lewati")),
    template=TemplateUse(
        purpose="offer",
        language="en",
        body=("E8", "3,2 km"),
        payloads=("CLAIM_led_1", "SKIP_led_1"),
    ),
)


def send(channel, *, address=BUDI, rendered=OFFER, window_open=True):
    return channel.send(address, rendered, window_open=window_open, out_id="out_1")


def refusal(code, status=400, **more):
    return status, {"error": {"message": "no", "code": code, **more}}


def used(asked):
    """Name and language of the template in a request."""
    template = asked.body["template"]
    return template["name"], template["language"]["code"]


def test_what_is_posted(channel, meta):
    """One POST to the number's messages, as us, with our own id to carry along."""
    assert Accepted("wamid.1") == send(channel)

    (asked,) = meta.asked
    assert ("POST", "/v25.0/1122/messages") == (asked.method, asked.path)
    assert "Bearer token" == asked.headers["Authorization"]
    assert {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "6281234567890",
        "type": "interactive",
        "interactive": {
            "type": "button",
            "body": {"text": "Lead baru: E8, 3,2 km"},
            "action": {
                "buttons": [
                    {"type": "reply", "reply": {"id": "CLAIM_led_1", "title": "Claim"}},
                    {"type": "reply", "reply": {"id": "SKIP_led_1", "title": "Lewati"}},
                ]
            },
        },
        "biz_opaque_callback_data": "out_1",
    } == asked.body


def test_a_connection_is_used_again(channel, meta):
    """Whatever the answer, the next message pays for no new connection: a tap is told at once."""
    meta.answers = [OK, refusal(131026), OK]

    for _ in range(3):
        send(channel)

    assert 1 == len({asked.connection for asked in meta.asked})


def test_people_without_a_phone_number(channel, meta):
    """They are reached by BSUID; without either key nothing is sent."""
    send(channel, address=Address(phone=None, bsuid="ID.1349"))
    nobody = send(channel, address=Address(phone=None, bsuid=None))

    assert ["ID.1349"] == [asked.body.get("recipient") for asked in meta.asked]
    assert isinstance(nobody, Failed)
    assert "permanent" == nobody.action


@pytest.mark.parametrize("code", sorted(ACTIONS))
def test_every_code_has_its_consequence(channel, meta, code):
    """Each code of the table that Meta answers with is told as its action, with the code."""
    meta.answers = [refusal(code)]

    failed = send(channel)

    assert isinstance(failed, Failed)
    assert (ACTIONS[code], code) == (failed.action, failed.code)


@pytest.mark.parametrize(
    ("codes", "action"),
    [
        ([131047], "template"),
        ([131056], "pair"),
        ([131026, 131049, 131050, 130472, 131062], "unreachable"),
        ([130429, 4, 80007, 133016], "slow"),
        ([131048], "spam"),
        ([131042, 131031, 368, 0, 190, 3, 10, 200, 299], "stop"),
        ([1, 2, 131000, 131016, 131057], "retry"),
        ([100, 131008, 131009, 131021, 131030, 130497, 135000], "permanent"),
        ([131051, 131052, 131053], "permanent"),
        ([132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016], "permanent"),
    ],
)
def test_the_table_of_codes(channel, meta, codes, action):
    """The consequences that were agreed upon, code by code."""
    meta.answers = [*map(refusal, codes), OK]

    assert [(action, code) for code in codes] == [
        (failed.action, failed.code) for failed in (send(channel) for _ in codes)
    ]


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        (refusal(999_999), "permanent"),
        (refusal(999_999, 500), "retry"),
        (refusal(999_999, is_transient=True), "retry"),
        (refusal("131056"), "permanent"),
        (refusal(100, error_subcode=33), "stop"),
        ((502, b"<html>"), "unknown"),
        ((408, b""), "unknown"),
        ((503, {}), "unknown"),
        ((401, {}), "stop"),
        ((404, {}), "stop"),
        ((429, b"slow down"), "slow"),
        ((302, b""), "retry"),
        ((413, b""), "permanent"),
        ((200, b"fine"), "unknown"),
        ((200, {"messages": [{"id": 5}]}), "unknown"),
        ((200, [1, 2]), "unknown"),
        ((200, b"x" * 5_000_000), "unknown"),
    ],
)
def test_answers_nobody_promised(channel, meta, answer, action):
    """Whatever comes back is an action; what may have been sent is never called refused."""
    meta.answers = [answer]

    failed = send(channel)

    assert isinstance(failed, Failed)
    assert action == failed.action


@pytest.mark.parametrize("answer", [HANG_UP, SILENCE])
def test_no_answer_after_the_request_is_unknown(channel, meta, answer):
    """Meta took the request and said nothing: it may have been sent, and was asked once only."""
    meta.answers = [answer]

    failed = send(channel)

    assert isinstance(failed, Failed)
    assert "unknown" == failed.action
    assert 1 == len(meta.asked)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://graph.invalid", "https://127.0.0.1:1"]
)
def test_nobody_there_is_tried_again(book, url):
    """Without a connection nothing can have been sent."""
    graph = Graph(GraphSettings(api_url=url, access_token="token"))
    channel = MetaChannel("reps", phone_number_id="1122", graph=graph, templates=book)

    failed = send(channel)

    assert isinstance(failed, Failed)
    assert "retry" == failed.action


def test_tls_with_somebody_else_is_tried_again(meta, book):
    """A server that is not Meta is told nothing, and the message waits."""
    url = meta.url.replace("http:", "https:")
    graph = Graph(GraphSettings(api_url=url, access_token="token"))

    failed = send(MetaChannel("reps", phone_number_id="1122", graph=graph, templates=book))

    assert isinstance(failed, Failed)
    assert "retry" == failed.action
    assert [] == meta.asked


@pytest.mark.parametrize("url", ["graph.example", "ftp://graph.example", ""])
def test_settings_that_name_no_address(book, url):
    """Everything through the number waits until the setting is right."""
    graph = Graph(GraphSettings(api_url=url, access_token="token"))
    channel = MetaChannel("reps", phone_number_id="1122", graph=graph, templates=book)

    failed = send(channel)

    assert isinstance(failed, Failed)
    assert "stop" == failed.action


def test_a_closed_window_takes_the_template(channel, meta):
    """The offer goes as the first template of its list, with both taps' payloads."""
    assert Accepted("wamid.1") == send(channel, window_open=False)

    (asked,) = meta.asked
    assert {
        "name": "lead_offer_v1",
        "language": {"code": "en"},
        "components": [
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "text": "E8"},
                    {"type": "text", "text": "3,2 km"},
                ],
            },
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": "0",
                "parameters": [{"type": "payload", "payload": "CLAIM_led_1"}],
            },
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": "1",
                "parameters": [{"type": "payload", "payload": "SKIP_led_1"}],
            },
        ],
    } == asked.body["template"]


def test_a_closed_window_without_a_template(channel, meta):
    """The person is not reached, and Meta is not asked."""
    failed = send(channel, rendered=Rendered(text="Halo"), window_open=False)

    assert isinstance(failed, Failed)
    assert "unreachable" == failed.action
    assert [] == meta.asked


def test_a_paused_template_gives_way_to_the_next(channel, meta):
    """Within one sending the next of the list is taken, and the paused one is left out from now."""
    meta.answers = [refusal(132015), OK]

    assert [Accepted("wamid.1")] * 2 == [send(channel, window_open=False) for _ in range(2)]
    assert [("lead_offer_v1", "en"), ("lead_offer_v2", "en"), ("lead_offer_v2", "en")] == [
        used(asked) for asked in meta.asked
    ]


def test_a_template_in_the_country_s_language_is_better_than_none(channel, meta):
    """When no template of the person's language may be used, the Indonesian ones are tried."""
    meta.answers = [refusal(132001), refusal(132016), OK]

    assert Accepted("wamid.1") == send(channel, window_open=False)
    assert ("lead_offer_v1", "id") == used(meta.asked[-1])


def test_a_template_that_does_not_fit_is_not_given_up(channel, meta):
    """A wrong number of parameters is a mistake of this message: the template stays usable."""
    meta.answers = [refusal(132000)]

    failed = send(channel, window_open=False)
    send(channel, window_open=False)

    assert isinstance(failed, Failed)
    assert ("permanent", 132000) == (failed.action, failed.code)
    assert 8 == len(meta.asked)


def test_without_any_usable_template(channel, meta):
    """It fails for good and an admin is shown why; Meta is not asked again and again."""
    meta.answers = [refusal(132016)]
    send(channel, window_open=False)
    meta.asked.clear()

    failed = send(channel, window_open=False)

    assert isinstance(failed, Failed)
    assert "permanent" == failed.action
    assert [] == meta.asked


@pytest.mark.parametrize(
    ("answer", "action"),
    [(refusal(131056), "pair"), (HANG_UP, "unknown"), (refusal(131047), "permanent")],
)
def test_other_refusals_end_the_search(channel, meta, answer, action):
    """What is not the template's fault tries no other; silence above all, which would double."""
    meta.answers = [answer]

    failed = send(channel, window_open=False)

    assert isinstance(failed, Failed)
    assert action == failed.action
    assert 1 == len(meta.asked)


def test_the_token_is_shown_nowhere():
    """Settings that end up in a log do not hold it."""
    assert "t0p-secret" not in repr(GraphSettings(access_token="t0p-secret"))
