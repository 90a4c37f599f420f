import pytest
from hypothesis import given
from hypothesis import strategies as st

from neox.sites.ranges import RangeError, holds, parse_cores, parse_nodes, print_cores


def test_cores_by_hand() -> None:
    assert parse_cores("48-50,60") == (48, 49, 50, 60)
    assert print_cores((60, 48, 49, 50)) == "48-50,60"
    assert print_cores(()) == ""


@given(st.sets(st.integers(0, 500), min_size=1))
def test_printed_cores_read_back(cores: set[int]) -> None:
    assert parse_cores(print_cores(cores)) == tuple(sorted(cores))


@pytest.mark.parametrize("text", ["", "a", "5-3", "1,,2", "1-2-3", "-1", "1,1", "0-4,3"])
def test_what_is_no_core_list(text: str) -> None:
    with pytest.raises(RangeError):
        parse_cores(text)


def test_node_ranges() -> None:
    assert parse_nodes("5") == (5, 5)
    assert parse_nodes("2-") == (2, None)
    assert parse_nodes("92-183") == (92, 183)
    assert [n for n in range(1, 6) if holds("2-4", n)] == [2, 3, 4]
    assert holds("2-", 9408)
    assert not holds("1", 2)


@pytest.mark.parametrize("text", ["", "0", "0-4", "5-4", "-3", "x", "1-2-3"])
def test_what_is_no_node_range(text: str) -> None:
    with pytest.raises(RangeError):
        parse_nodes(text)
