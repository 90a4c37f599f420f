"""The forms that manuals print, and that what is printed reads back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neox.sites.times import TimeError, parse_time, print_time

EXACT = st.integers(min_value=1, max_value=400 * 86400)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [  # sbatch(1): "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours" ...
        ("90", 5400),
        ("90:30", 5430),
        ("2:00:00", 7200),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:15", 131415),
        ("24:00:00", 86400),
    ],
)
def test_slurms_six_forms(text: str, seconds: int) -> None:
    assert parse_time(text, "slurm") == seconds
    assert parse_time(text, "neox") == seconds


@pytest.mark.parametrize(
    ("text", "dialect", "seconds"),
    [
        ("30", "lsf", 1800),
        ("2:30", "lsf", 9000),
        ("3600", "pbs", 3600),
        ("1:30", "pbs", 90),
        ("1:00:00", "pbs", 3600),
        ("360s", "flux", 360),
        ("6m", "flux", 360),
        ("1.5h", "flux", 5400),
        ("1d", "flux", 86400),
        ("45", "flux", 45),
        ("90m", "neox", 5400),
        ("2h", "neox", 7200),
    ],
)
def test_the_other_schedulers_forms(text: str, dialect: str, seconds: int) -> None:
    assert parse_time(text, dialect) == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "0", "0:00:00", "two", "-5", "1:2:3:4", "1-", "-1", "1h30", "٣", "UNLIMITED", "1 2"],
)
def test_what_is_no_time(text: str) -> None:
    for dialect in ("slurm", "neox", "lsf", "pbs", "flux"):
        with pytest.raises(TimeError):
            parse_time(text, dialect)


def test_lsf_knows_no_seconds() -> None:
    with pytest.raises(TimeError, match="h:mm"):
        parse_time("2:00:00", "lsf")


@given(EXACT)
def test_printed_times_read_back(seconds: int) -> None:
    for dialect in ("slurm", "pbs", "flux", "neox"):
        assert parse_time(print_time(seconds, dialect), dialect) == seconds


@given(EXACT)
def test_lsf_rounds_up_to_the_minute(seconds: int) -> None:
    again = parse_time(print_time(seconds, "lsf"), "lsf")
    assert again % 60 == 0
    assert 0 <= again - seconds < 60


def test_each_printer_by_hand() -> None:
    assert print_time(7200, "slurm") == "2:00:00"
    assert print_time(86400, "slurm") == "24:00:00"
    assert print_time(172800, "slurm") == "2-00:00:00"
    assert print_time(7200, "lsf") == "2:00"
    assert print_time(61, "lsf") == "0:02"
    assert print_time(7200, "pbs") == "2:00:00"
    assert print_time(5400, "flux") == "90m"
