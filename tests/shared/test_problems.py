"""Problem documents: a stable code, members of their own, and no way to break the reader."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.wire.problems import MalformedProblem, Problem, parse_problem
from tests.checks.wire_samples import VALUES


@given(
    st.integers(400, 599),
    st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=64),
    st.text(max_size=100),
    st.dictionaries(st.sampled_from(["head", "retry_after_s"]), st.integers(0, 99)),
)
def test_a_problem_reads_back(status, code, detail, extra):
    """Encoding and parsing are each other's inverse."""
    problem = Problem(status=status, code=code, detail=detail, extra=extra)

    assert parse_problem(problem.encode()) == problem


def test_a_members_name_cannot_replace_the_code():
    """What a problem adds of its own stands behind what every problem has."""
    problem = Problem(status=409, code="seq-gap", detail="", extra={"code": "ok", "status": 200})
    document = json.loads(problem.encode())

    assert (document["code"], document["status"]) == ("seq-gap", 409)
    assert document["type"] == "urn:kickstand:problem:seq-gap"


@given(st.binary() | st.text().map(str.encode) | VALUES.map(json.dumps).map(str.encode))
def test_any_bytes_are_a_problem_or_malformed(raw):
    """Hostile bytes raise MalformedProblem and nothing else."""
    with pytest.raises(MalformedProblem):
        parse_problem(raw)


@given(st.fixed_dictionaries({"status": VALUES, "code": VALUES, "detail": VALUES}))
def test_any_members_are_read_or_malformed(document):
    """Whatever JSON stands in the known members, reading ends well."""
    try:
        problem = parse_problem(json.dumps(document).encode())
    except MalformedProblem:
        return
    assert problem.status == document["status"]


def test_a_huge_problem_is_refused_unread():
    """More than 64 KiB is no problem document."""
    with pytest.raises(MalformedProblem):
        parse_problem(b" " * 65_537)
