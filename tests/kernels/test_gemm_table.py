"""The table of tuned products: what was written is what is read, and damage is said."""

import resource
from pathlib import Path

import pytest

from neox.kernels.errors import KernelError
from neox.kernels.gemm import Gemm, Kind, Tuned
from neox.kernels.gemm_table import add_to_table, read_table, table_path

GEMM = Gemm(kind="forward", m=4096, n=768, k=256, dtype="bfloat16", biased=True)
TUNED = Tuned(algorithm=bytes(range(64)), seconds=1e-3, seconds_of_torch=1.25e-3)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return table_path(tmp_path / "store", "NVIDIA H100 80GB HBM3", 130100)


def test_its_name_tells_the_gpu_and_the_library(table: Path) -> None:
    assert table.name == "gemms-NVIDIA-H100-80GB-HBM3-130100.json"


def test_entries_are_added_and_replaced(table: Path) -> None:
    assert read_table(table) == {}
    other = Gemm(kind="wgrad", m=4096, n=768, k=256, dtype="float16")
    add_to_table(table, {GEMM: TUNED})
    none = Tuned(algorithm=None, seconds=1e-3, seconds_of_torch=9e-4)
    add_to_table(table, {other: TUNED, GEMM: none})
    assert read_table(table) == {GEMM: none, other: TUNED}
    assert (TUNED.gain, none.gain) == (pytest.approx(0.2), 0.0)
    assert [path.name for path in table.parent.iterdir()] == [table.name]


@pytest.mark.parametrize("text", ["", "[{}]", '{"kind": 1}', "[1]", "[{'", '[{"algorithm": 3}]'])
def test_damage_is_said_and_not_written_over(table: Path, text: str) -> None:
    table.parent.mkdir()
    table.write_text(text)
    for use in (lambda: read_table(table), lambda: add_to_table(table, {GEMM: TUNED})):
        with pytest.raises(KernelError, match="is damaged; remove it and run `neox tune` again"):
            use()
    assert table.read_text() == text


def test_half_a_file_is_damage(table: Path) -> None:
    add_to_table(table, {GEMM: TUNED})
    table.write_text(table.read_text()[:-10])
    with pytest.raises(KernelError, match="is damaged"):
        read_table(table)


def test_half_an_algorithm_is_damage(table: Path) -> None:
    add_to_table(table, {GEMM: TUNED})
    table.write_text(table.read_text().replace(TUNED.algorithm.hex(), TUNED.algorithm.hex()[:60]))
    with pytest.raises(KernelError, match="is damaged"):
        read_table(table)


def test_a_full_disk_leaves_the_table_as_it_was(table: Path) -> None:
    add_to_table(table, {GEMM: TUNED})
    before, limit = table.read_text(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(KernelError, match="choose another store with --into"):
            add_to_table(table, {Gemm(kind="dgrad", m=1, n=1, k=1, dtype="float16"): TUNED})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert table.read_text() == before
    assert [path.name for path in table.parent.iterdir()] == [table.name]


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelError, match="Not a directory"):
        add_to_table(tmp_path / "file" / "gemms.json", {GEMM: TUNED})


@pytest.mark.parametrize(
    ("kind", "first", "second", "out"),
    [
        ("forward", (5, 3), (4, 3), (5, 4)),
        ("dgrad", (5, 4), (4, 3), (5, 3)),
        ("wgrad", (5, 4), (5, 3), (4, 3)),
    ],
)
def test_shapes(
    kind: Kind, first: tuple[int, int], second: tuple[int, int], out: tuple[int, int]
) -> None:
    gemm = Gemm(kind=kind, m=5, n=4, k=3, dtype="bfloat16")
    assert gemm.shapes == (first, second, out)
    assert gemm.flops == 2 * 5 * 4 * 3
