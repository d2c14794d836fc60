"""The doors past Flask: theirs is one method of one path, everything else goes on to the app."""

import orjson
import pytest
from structlog.testing import capture_logs
from werkzeug.test import Client

from hub.doors import Answer, BodyTooLarge, Doors


def app(environ, start_response):
    """What stands behind the doors."""
    start_response("404 NOT FOUND", [("content-length", "3")])
    return [b"app"]


def code_of(answer):
    """Of a problem."""
    return orjson.loads(answer.data)["code"]


def echo(asked):
    """Says what it was asked."""
    headers = {"x-kind": asked.header("Content-Type"), "x-mark": asked.header("X-Mark")}
    said = f"{asked.method} {asked.path} {asked.query} {asked.host}".encode()
    return Answer(201, said + b"|" + asked.body(10), headers)


@pytest.fixture
def client():
    """One door and one that takes any last segment."""
    return Client(Doors(app, {("POST", "/one"): echo, ("POST", "/many/"): echo}))


def test_a_door_sees_what_the_server_handed_over(client):
    """Method, path, raw query, host, fields and bytes."""
    answer = client.post(
        "/one?a=%62", data=b"body", headers={"X-Mark": "m"}, content_type="text/plain"
    )
    assert (answer.status, answer.data) == ("201 Created", b"POST /one a=%62 localhost|body")
    assert (answer.headers["x-kind"], answer.headers["x-mark"]) == ("text/plain", "m")
    assert answer.headers["content-length"] == str(len(answer.data))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/one"), ("PUT", "/one"), ("POST", "/one/"), ("POST", "/One"), ("POST", "/")),
        *(("POST", "/many"), ("POST", "/many/"), ("POST", "/many/a/b"), ("GET", "/many/a")),
    ],
)
def test_everything_else_is_the_apps(client, method, path):
    """Another method, another path, one segment too few or too many."""
    assert client.open(path, method=method).data == b"app"


def test_one_last_segment_may_differ(client):
    """As a secret in an address does."""
    assert client.post("/many/a-word").data == b"POST /many/a-word  localhost|"


def test_a_body_above_the_doors_limit_is_its_own_error():
    """Whether the sender said so before or not."""

    def refuse(asked):
        try:
            asked.body(4)
        except BodyTooLarge:
            return Answer.problem(413, "too-large", "at most 4 bytes")
        return Answer(200)

    client = Client(Doors(app, {("POST", "/one"): refuse}))
    assert client.post("/one", data=b"1234").status_code == 200
    assert code_of(client.post("/one", data=b"12345")) == "too-large"
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    assert client.post("/one", data=b"12345", environ_overrides=chunked).status_code == 413


def test_a_door_that_breaks_says_so_and_names_no_path():
    """500 as a problem: its sender comes again. Qontak's path holds a secret."""

    def broken(asked):
        raise ValueError(f"cannot read {asked.body(20)!r}")

    client = Client(Doors(app, {("POST", "/many/"): broken}))
    with capture_logs() as logs:
        answer = client.post("/many/a-secret", data=b"6281234567890")
    assert (answer.status_code, code_of(answer)) == (500, "internal-server-error")
    assert answer.headers["cache-control"] == "no-store"
    [entry] = logs
    assert (entry["event"], entry["door"], entry["error"]) == (
        "door_failed",
        "/many/",
        "ValueError",
    )
    assert entry["request_id"] == orjson.loads(answer.data)["request_id"]
    assert "test_doors.py" in str(entry["at"])
    # Neither the word in the address nor what was sent.
    assert "a-secret" not in str(logs)
    assert "6281234567890" not in str(logs)
