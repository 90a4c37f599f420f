"""What `make test-gpu` tunes is what its step bench multiplies."""

from pathlib import Path

import pytest

from neox.config.cli import split_words
from neox.config.derive import resolve
from neox.config.load import load
from neox.train.gemms import gemms_of
from tests.bench.step.cases import CASES
from tests.bench.step.ours import resolved
from tests.gpu import NEOX, ROOT, tuning


@pytest.mark.parametrize(
    ("tuned", "measured"),
    [("160M", "160M"), ("410M", "410M"), ("1.4B", "1.4B"), ("1.4B", "1.4B-16k")],
)
def test_every_product_of_a_case_is_tuned(tuned: str, measured: str) -> None:
    words = tuning(CASES[tuned])[len(NEOX) + 1 :]
    files, overrides = split_words(words, ROOT)
    found = gemms_of(resolve(load(files, overrides), 1))
    assert set(found) == set(gemms_of(resolved(CASES[measured], Path("corpus"))))
    assert len(found) == 15
