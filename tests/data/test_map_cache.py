"""Index maps are built once, never stale, and do without a cache where there is none."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from neox.data import sources
from neox.data.errors import DataError
from neox.data.map_cache import _read, cache_folders, cached_maps
from neox.data.sources import OrderRequest, SplitSource, open_split
from neox.data.splits import Part
from tests.data.files import numbered, write_tokens

REQUEST = OrderRequest(samples=20, seq_length=8, seed=1)


def read(prefix, request=REQUEST):
    opened = open_split(SplitSource(data_path=str(prefix), split="1"), Part.TRAIN, request)
    return opened.read(np.arange(len(opened))).tolist()


def built(folder):
    return sorted(path.name for path in (folder / ".neox-order").iterdir())


@pytest.fixture
def prefix(tmp_path):
    return write_tokens(tmp_path / "t", numbered([30, 50]))


def test_second_opening_builds_nothing(prefix, monkeypatch):
    first = read(prefix)
    monkeypatch.setattr(sources, "build_order", None)
    assert read(prefix) == first
    assert len(built(prefix.parent)) == 1  # no lock and no half-written folder


def test_rebuilt_data_never_meets_a_stale_map(prefix):
    read(prefix)
    write_tokens(prefix, numbered([10, 23]))  # as many documents as before
    flat = {token for row in read(prefix) for token in row}
    assert flat <= set(range(33))
    assert len(built(prefix.parent)) == 2


def test_damaged_map_is_built_again(prefix):
    first = read(prefix)
    maps = next((prefix.parent / ".neox-order").iterdir())
    for name in ("samples.npy", "shuffle.npy"):
        raw = (maps / name).read_bytes()
        (maps / name).write_bytes(raw[: len(raw) // 2])
        assert read(prefix) == first


def test_cache_may_be_named(prefix, tmp_path):
    read(prefix, OrderRequest(samples=20, seq_length=8, seed=1, cache=tmp_path / "c"))
    assert len(list((tmp_path / "c").iterdir())) == 1
    assert not (tmp_path / ".neox-order").exists()


def test_read_only_data_falls_back_to_the_user_and_then_to_memory(prefix, tmp_path, monkeypatch):
    expected = read(prefix)
    for path in (tmp_path / ".neox-order").rglob("*.npy"):
        path.unlink()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    refused = {tmp_path / ".neox-order"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in refused)
    assert read(prefix) == expected
    assert len(list((home / ".cache/neox/order").iterdir())) == 1
    refused.add(home / ".cache/neox/order")
    other = OrderRequest(samples=21, seq_length=8, seed=1)
    assert len(read(prefix, other)) == 21
    assert len(list((home / ".cache/neox/order").iterdir())) == 1
    assert cache_folders(prefix, None) == (tmp_path / ".neox-order", home / ".cache/neox/order")


def race(folder, number, results):
    array = np.arange(100_000, dtype=np.int64)
    maps = cached_maps("key", ("a",), (folder,), lambda: {"a": array})
    results.put((number, int(maps["a"].sum())))


def test_racing_processes_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    racers = [context.Process(target=race, args=(tmp_path, i, results)) for i in range(6)]
    for racer in racers:
        racer.start()
    sums = {results.get(timeout=30)[1] for _ in racers}
    for racer in racers:
        racer.join()
    assert sums == {sum(range(100_000))}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["key"]


def test_empty_part_says_what_to_do(prefix):
    source = SplitSource(data_path=str(prefix), split="969, 30, 1")
    with pytest.raises(DataError, match=r"no document for valid out of the 2.*larger share"):
        open_split(source, Part.VALID, REQUEST)


@pytest.mark.parametrize("split", ["", "a,b", "1,2,3,4", "-1,2", "0,0", "nan", "inf"])
def test_impossible_split(prefix, split):
    with pytest.raises(DataError, match="split"):
        open_split(SplitSource(data_path=str(prefix), split=split), Part.TRAIN, REQUEST)


def test_no_token_at_all(tmp_path):
    prefix = write_tokens(tmp_path / "t", [[], []])
    with pytest.raises(DataError, match="no token"):
        read(prefix)


def test_seed_that_the_generator_refuses(prefix):
    with pytest.raises(DataError, match="seed: -1 is outside"):
        read(prefix, OrderRequest(samples=20, seq_length=8, seed=-1))


@pytest.mark.parametrize("dtype", ["<i4", "<i8", "<u4", "|u1"])
@pytest.mark.parametrize("shape", [(7,), (5, 2), (1,), (1, 2)])
def test_small_maps_are_read_as_numpy_reads_them(tmp_path, dtype, shape):
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    np.save(tmp_path / "a.npy", array)
    read = _read(tmp_path / "a.npy")
    assert read.dtype == array.dtype and np.array_equal(read, np.load(tmp_path / "a.npy"))
    whole = (tmp_path / "a.npy").read_bytes()
    for cut in (whole[:-1], whole[:60], b""):
        (tmp_path / "a.npy").write_bytes(cut)
        with pytest.raises(ValueError):
            _read(tmp_path / "a.npy")
