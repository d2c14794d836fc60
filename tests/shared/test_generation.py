"""Openings of the ledger's later generations: signed by the root, one after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.keys import SigningKey
from shared.generation import MalformedOpening, Opening, origin_of, read_chain, shared_size
from tests.checks.small_log import SmallLog

ROOT = SigningKey.from_seed(b"\x01" * 32)
NAME = "hub.example/ledger"
LEAVES = [bytes([number]) * 32 for number in range(9)]


def opening(generation: int, size: int, ended: int, root: SigningKey = ROOT) -> Opening:
    """The opening of a generation that begins with `size` entries; `ended` were seen before."""
    return Opening.sign(
        root,
        generation=generation,
        begins=SmallLog(LEAVES[:size], origin_of(NAME, generation)).checkpoint(),
        ended=SmallLog(LEAVES[:ended], origin_of(NAME, generation - 1)).checkpoint(),
        reason="the disk died",
        now_ms=1,
    )


SECOND, THIRD = opening(2, 5, 8), opening(3, 7, 9)


def chain(*items: Opening, origin: str = f"{NAME}/3") -> tuple[Opening, ...]:
    """What a box reads of them."""
    return read_chain([item.values() for item in items], origin=origin, root=ROOT.public)


def test_a_chain_reads_back_as_it_was_signed() -> None:
    """Also an empty one: a ledger in its first generation."""
    assert (SECOND, THIRD) == chain(SECOND, THIRD)
    assert () == chain(origin=NAME)


@pytest.mark.parametrize(
    ("items", "origin"),
    [
        pytest.param((THIRD,), f"{NAME}/3", id="one is left out"),
        pytest.param((THIRD, SECOND), f"{NAME}/3", id="in another order"),
        pytest.param((SECOND,), NAME, id="leads elsewhere"),
        pytest.param((opening(2, 5, 8, SigningKey.generate()),), f"{NAME}/2", id="other root"),
    ],
)
def test_what_is_no_chain_is_refused(items: tuple[Opening, ...], origin: str) -> None:
    """A box follows only where the root key has led, step by step."""
    with pytest.raises(MalformedOpening):
        chain(*items, origin=origin)


def test_what_generations_have_in_common_is_the_least_of_the_steps() -> None:
    """The third goes on from seven entries, but of the first it can have five."""
    assert [5, 7, None] == [
        shared_size((SECOND, THIRD), origin_of(NAME, generation)) for generation in (1, 2, 3)
    ]


ANYTHING = st.none() | st.text() | st.integers()


@given(ANYTHING | st.fixed_dictionaries({"opening": ANYTHING, "signature": ANYTHING}))
def test_anything_else_is_malformed_and_nothing_more(values: object) -> None:
    """Whatever a key set holds in that place."""
    with pytest.raises(MalformedOpening):
        Opening.read(values, root=ROOT.public)
