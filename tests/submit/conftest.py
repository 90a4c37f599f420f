from pathlib import Path

import pytest

from tests.submit.stand_ins import Machine, machine


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return machine(tmp_path)
