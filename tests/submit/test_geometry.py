"""The parallel arithmetic against the machine, and suggestions that hold."""

import re
from dataclasses import replace

import pytest

from tests.submit.askings import ask, plan, refused

SUGGESTED = re.compile(r"--nodes (\d+)")


def test_20b_as_its_design_batch_wants() -> None:
    made = plan(ask("frontier"), nodes=12)
    assert made.geometry is not None
    geometry = made.geometry
    assert (geometry.pipeline, geometry.tensor, geometry.data) == (4, 2, 12)
    assert (geometry.micro_batch, geometry.accumulation) == (4, 32)
    assert geometry.world == made.ranks == 96
    assert geometry.global_batch == 1536


@pytest.mark.parametrize("nodes", [2, 3, 4, 6, 8, 12, 16, 24, 96, 384])
def test_accumulation_follows_the_nodes(nodes: int) -> None:
    made = plan(ask("frontier"), nodes=nodes, seconds=7200)
    assert made.geometry is not None
    assert made.geometry.global_batch == 1536


@pytest.mark.parametrize("nodes", [5, 7, 9, 13, 385])
def test_a_node_count_that_does_not_divide_the_batch(nodes: int) -> None:
    text = refused(ask("frontier"), nodes=nodes, seconds=7200)
    assert re.search(r"train_batch_size=1536 \(\S*20B.yml:\d+\) does not divide", text)
    suggested = SUGGESTED.findall(text)
    assert suggested
    for count in suggested:
        plan(ask("frontier"), nodes=int(count), seconds=7200)


def test_a_batch_of_the_command_line_is_said_once() -> None:
    text = refused(ask("frontier", overrides=("train_batch_size=100",)), nodes=12)
    assert text.count("train_batch_size") == 1
    assert "train_batch_size=100 does not divide by 12 data ranks" in text


def test_summit_has_six_ranks_so_twelve_nodes_do_not_divide() -> None:
    assert SUGGESTED.findall(refused(ask("summit"), nodes=12)) == ["8", "16"]


def test_ranks_that_do_not_form_whole_copies() -> None:
    request = ask("frontier", overrides=("pipe_parallel_size=11", "train_batch_size=1540"))
    text = refused(request, nodes=12)
    assert "96 ranks do not divide into pipe_parallel_size=11 x model_parallel_size=2" in text
    for count in SUGGESTED.findall(text):
        plan(request, nodes=int(count))


@pytest.mark.parametrize("tensor", [16, 3])
def test_tensor_groups_stay_in_a_node(tensor: int) -> None:
    request = ask("frontier", overrides=(f"model_parallel_size={tensor}", "num_attention_heads=48"))
    text = refused(request, nodes=12)
    assert f"model_parallel_size={tensor}" in text
    assert "tensor groups would span nodes" in text
    sizes = re.search(r"use model_parallel_size=(.*)", text)
    assert sizes
    for size in sizes[1].split(" or "):
        plan(replace(request, overrides=(f"model_parallel_size={size}",)), nodes=24)


def test_a_tensor_group_over_slow_links_is_warned_of() -> None:
    def slow(where: str, nodes: int, *overrides: str) -> bool:
        made = plan(ask(where, overrides=overrides), nodes=nodes)
        return any("without a fast link" in warning for warning in made.warnings)

    assert not slow("frontier", 12)  # two GCDs of one card
    assert slow("frontier", 12, "model_parallel_size=4")
    assert slow("summit", 16)  # three GPUs a socket: the second pair spans both


def test_more_stages_than_layers() -> None:
    text = refused(ask("frontier", overrides=("pipe_parallel_size=48",)), nodes=12)
    assert "pipe_parallel_size" in text
    assert "44" in text


def test_a_batch_that_follows_the_nodes_is_told_in_tokens() -> None:
    request = ask("frontier", "125M")
    made = plan(request, nodes=2)
    assert made.geometry is not None
    told = [w for w in made.warnings if "tokens a step" in w]
    assert told
    assert f"{made.geometry.global_batch * 2048:,} tokens" in told[0]
    pin = re.search(r"train_batch_size=\d+", told[0])
    assert pin
    pinned = plan(ask("frontier", "125M", overrides=(pin[0],)), nodes=2)
    assert not [w for w in pinned.warnings if "tokens a step" in w]


def test_num_gpus_limits_ranks_everywhere() -> None:
    request = ask("frontier", "125M", overrides=("num_gpus=2",))
    made = plan(request, nodes=2)
    assert (made.ranks_per_node, made.ranks) == (2, 4)
    assert [w for w in made.warnings if "6 of 8 GPUs of each node stay idle" in w]
    assert "num_gpus=8 or less" in refused(ask("frontier", "125M", overrides=("num_gpus=9",)))


def test_one_process_takes_one_node() -> None:
    request = ask("frontier", kind="generate")
    assert plan(request).ranks == 1
    assert plan(request).geometry is None
    assert "leave --nodes out" in refused(request, nodes=2)
