"""A checkpoint comes back as it was saved, or is refused by name; a save never half-shows."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from neox.checkpoint import directory
from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.fragment import Fragment, whole
from neox.checkpoint.reader import Reader, open_checkpoint
from neox.checkpoint.store import CheckpointWriter
from tests.checkpoint.saving import ABOUT, all_boxes, cut, random_tensors, rank_fragments, save_all


def writer(root: Path, **changes: object) -> CheckpointWriter:
    settings = {"rank": 0, "world_size": 1, "attempt": "a", "about": ABOUT} | changes
    return CheckpointWriter(root, **settings)  # type: ignore[arg-type]


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


@pytest.mark.parametrize(("data", "tensor"), [(1, 1), (2, 1), (3, 2), (1, 4)])
@pytest.mark.parametrize("other", [1, 2, 4])
def test_any_geometry_reads_any_other(tmp_path: Path, data: int, tensor: int, other: int) -> None:
    tensors = random_tensors(1)
    save_all(tmp_path, 3, tensors, data=data, tensor=tensor)
    reader = open_checkpoint(tmp_path)
    for name, kind, box in all_boxes(tensors, other):
        expected = cut(tensors[name, kind], box)
        third = len(expected) // 3
        got = reader.read(name, kind, box, third, len(expected) - third)
        assert torch.equal(got, expected[third:])


def test_state_and_origin_come_back(tmp_path: Path) -> None:
    save_all(tmp_path, 3, random_tensors(1), data=2)
    reader = open_checkpoint(tmp_path)
    assert reader.step == 3
    assert reader.state == {"samples": 24}
    assert reader.rank_states == ({"rank": 0}, {"rank": 1})
    assert reader.manifest.about == ABOUT
    assert names(tmp_path / "step-00000003") == [
        "manifest.json",
        "rank-00000.safetensors",
        "rank-00001.safetensors",
        "state.json",
    ]


def test_the_safetensors_library_reads_our_files(tmp_path: Path) -> None:
    tensors = random_tensors(2)
    save_all(tmp_path, 1, tensors)
    loaded = load_file(tmp_path / "step-00000001" / "rank-00000.safetensors")
    assert len(loaded) == len(tensors)
    for (name, kind), value in tensors.items():
        assert torch.equal(loaded[f"{kind}/{name}"], value)


def test_bf16_keeps_its_bits(tmp_path: Path) -> None:
    value = torch.randn(5, 7).bfloat16()
    fragment = Fragment(
        name="final_norm.weight", kind="weight", shape=(5, 7), box=whole((5, 7)), start=0,
        data=value.reshape(-1),
    )  # fmt: skip
    saving = writer(tmp_path)
    saving.save(1, [fragment], state={}, rank_state={})
    saving.publish()
    saving.wait()
    got = open_checkpoint(tmp_path).read_whole("final_norm.weight")
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, value)


def test_a_save_is_a_copy_and_invisible_until_published(tmp_path: Path) -> None:
    tensors = random_tensors(3)
    saving = writer(tmp_path)
    saving.save(1, rank_fragments(tensors, data=1, tensor=1, rank=0), state={}, rank_state={})
    expected = tensors["final_norm.bias", "weight"].clone()
    for value in tensors.values():
        value.zero_()
    assert directory.steps(tmp_path) == ()
    saving.publish()
    saving.wait()
    assert torch.equal(open_checkpoint(tmp_path).read_whole("final_norm.bias"), expected)


def test_a_discarded_save_leaves_nothing(tmp_path: Path) -> None:
    saving = writer(tmp_path)
    fragments = list(rank_fragments(random_tensors(3), data=1, tensor=1, rank=0))
    saving.save(1, fragments, state={}, rank_state={})
    saving.discard()
    saving.wait()
    assert names(tmp_path) == []


@pytest.mark.parametrize("file", ["rank-00001.safetensors", "manifest.json", "state.json"])
def test_a_flipped_bit_is_refused_by_file_name(tmp_path: Path, file: str) -> None:
    save_all(tmp_path, 1, random_tensors(1), data=2)
    path = tmp_path / "step-00000001" / file
    content = bytearray(path.read_bytes())
    for position in range(0, len(content), max(1, len(content) // 23)):
        content[position] ^= 1
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=file):
            open_checkpoint(tmp_path).verify()
        content[position] ^= 1
    path.write_bytes(content)
    open_checkpoint(tmp_path).verify()


def test_reading_refuses_a_damaged_block_without_verify(tmp_path: Path) -> None:
    tensors = random_tensors(1)
    save_all(tmp_path, 1, tensors)
    path = tmp_path / "step-00000001" / "rank-00000.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 128
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"rank-00000\.safetensors is damaged"):
        open_checkpoint(tmp_path).read_whole("final_norm.weight")


@pytest.mark.parametrize("file", ["rank-00001.safetensors", "manifest.json", "state.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_missing_and_cut_files_are_refused_on_opening(
    tmp_path: Path, file: str, damage: str
) -> None:
    save_all(tmp_path, 1, random_tensors(1), data=2)
    path = tmp_path / "step-00000001" / file
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if damage == "cut" else b"")
    with pytest.raises(CheckpointError, match=file):
        Reader(directory.latest(tmp_path))


def test_nothing_to_load_is_an_error_that_says_where(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CheckpointError, match=f"no checkpoint in {root}"):
            open_checkpoint(root)
    save_all(tmp_path, 4, random_tensors(1))
    with pytest.raises(CheckpointError, match=r"step 5 .* there are: 4"):
        open_checkpoint(tmp_path, 5)


def test_another_models_tensors_are_refused(tmp_path: Path) -> None:
    save_all(tmp_path, 1, random_tensors(1))
    reader = open_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"no weight of layers\.7"):
        reader.read_whole("layers.7.mlp.linear1.bias")
    with pytest.raises(CheckpointError, match="another model"):
        reader.read("head.weight", "weight", whole((64, 16)), 0, 1024)


def test_a_piece_that_is_nowhere_is_not_read_as_garbage(tmp_path: Path) -> None:
    """Two pieces that overlap hide a gap from the count of elements, but not from a read."""
    parts = [(0, 6), (4, 6)]  # 12 elements of 12, and elements 10 and 11 in none
    fragments = [
        Fragment(
            name="final_norm.bias", kind="weight", shape=(12,), box=whole((12,)), start=start,
            data=torch.ones(length),
        )
        for start, length in parts
    ]  # fmt: skip
    saving = writer(tmp_path)
    saving.save(1, fragments, state={}, rank_state={})
    saving.publish()
    saving.wait()
    with pytest.raises(CheckpointError, match=r"weight of final_norm\.bias is not whole"):
        open_checkpoint(tmp_path).read_whole("final_norm.bias")


def test_a_gap_between_the_ranks_is_not_published(tmp_path: Path) -> None:
    fragments = list(rank_fragments(random_tensors(1), data=2, tensor=1, rank=0))
    saving = writer(tmp_path)
    saving.save(1, fragments, state={}, rank_state={})
    saving.publish()
    with pytest.raises(CheckpointError, match=r"embedding\.weight: 256 elements of 512"):
        saving.wait()
    assert names(tmp_path) == []


def test_a_silent_rank_is_named(tmp_path: Path) -> None:
    saving = writer(tmp_path, world_size=2, patience_seconds=0.1)
    saving.save(1, [], state={}, rank_state={})
    saving.publish()
    with pytest.raises(CheckpointError, match="rank 1 has not written"):
        saving.wait()
    assert names(tmp_path) == []


def test_the_failure_of_another_rank_reaches_rank_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = [writer(tmp_path, rank=rank, world_size=2) for rank in range(2)]
    real = os.fsync

    def full_disk(handle: int) -> None:
        if threading.current_thread() is ranks[1]._thread:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr("neox.checkpoint.safetensors_file.os.fsync", full_disk)
    for rank, each in enumerate(ranks):
        fragments = rank_fragments(random_tensors(1), data=2, tensor=1, rank=rank)
        each.save(1, fragments, state={}, rank_state={})
    for each in ranks:
        each.publish()
    with pytest.raises(CheckpointError, match=r"rank 1 did not save .*No space left"):
        ranks[0].wait()
    with pytest.raises(CheckpointError, match="No space left on device; free space"):
        ranks[1].wait()
    assert names(tmp_path) == []


def test_an_unwritable_place_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    saving = writer(tmp_path / "file" / "checkpoints")
    saving.save(1, [], state={}, rank_state={})
    saving.publish()
    with pytest.raises(CheckpointError, match=r"cannot write a checkpoint to .*Not a directory"):
        saving.wait()


def test_retention_counts_only_whole_checkpoints(tmp_path: Path) -> None:
    tensors = random_tensors(1)
    for step in (1, 2, 3, 4):
        save_all(tmp_path, step, tensors)
    (tmp_path / "step-00000004" / "rank-00000.safetensors").unlink()
    directory.retain(tmp_path, 1)
    assert directory.steps(tmp_path) == (3, 4)
    saving = writer(tmp_path, keep_last=2)
    share = rank_fragments(tensors, data=1, tensor=1, rank=0)
    saving.save(5, share, state={}, rank_state={})
    saving.publish()
    saving.wait()
    assert directory.steps(tmp_path) == (3, 4, 5)


def test_the_same_step_again_takes_the_place_of_the_old(tmp_path: Path) -> None:
    save_all(tmp_path, 1, random_tensors(1))
    save_all(tmp_path, 1, random_tensors(2), attempt="b")
    expected = random_tensors(2)["head.weight", "weight"]
    assert torch.equal(open_checkpoint(tmp_path).read_whole("head.weight"), expected)
    assert names(tmp_path) == ["step-00000001"]


def test_tidying_removes_drafts_and_completes_a_cut_replacement(tmp_path: Path) -> None:
    save_all(tmp_path, 1, random_tensors(1))
    shutil.copytree(tmp_path / "step-00000001", tmp_path / ".step-00000002.old.1.tmp")
    shutil.copytree(tmp_path / "step-00000001", tmp_path / ".step-00000003.mine.1.tmp")
    shutil.copytree(tmp_path / "step-00000001", tmp_path / ".step-00000000.trash")
    (tmp_path / "step-00000001").rename(tmp_path / ".step-00000001.replaced")
    directory.tidy(tmp_path, "mine")
    assert names(tmp_path) == [".step-00000003.mine.1.tmp", "step-00000001"]


def test_an_unknown_schema_says_so(tmp_path: Path) -> None:
    save_all(tmp_path, 1, random_tensors(1))
    path = tmp_path / "step-00000001" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"schema_version": 2}))
    with pytest.raises(CheckpointError, match="schema_version is 2, this NeoX reads 1"):
        open_checkpoint(tmp_path)
