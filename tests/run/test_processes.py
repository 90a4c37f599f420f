"""Ranks that do not find each other, and the stop file."""

from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore

from neox.run.failure import exit_code
from neox.run.processes import Patience, RendezvousError, join
from neox.run.rank import RankEnvironment, read_rank
from neox.run.stop import StopWatch
from tests.train.ranks import free_port


def rank(number: int, port: int) -> RankEnvironment:
    return RankEnvironment(
        rank=number,
        local_rank=number,
        world_size=2,
        local_world_size=2,
        master_addr="127.0.0.1",
        master_port=port,
        job_id="7",
    )


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_stays_alone_says_where_it_waited(number: int) -> None:
    port = free_port()
    patience = Patience(meeting=timedelta(seconds=2))
    with pytest.raises(
        RendezvousError, match=rf"rank {number} of 2.*127\.0\.0\.1:{port}"
    ) as caught:
        join(rank(number, port), torch.device("cpu"), alone_needs_group=True, patience=patience)
    assert "\n" not in str(caught.value)
    assert exit_code(caught.value) == 75


def test_a_port_that_is_taken_is_named_and_nobody_waits() -> None:
    other = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with pytest.raises(RendezvousError, match=f":{other.port}: another process on") as caught:
        join(rank(0, other.port), torch.device("cpu"), alone_needs_group=True)
    assert exit_code(caught.value) == 75


def test_under_torchrun_rank_0_does_not_listen_itself() -> None:
    contract = {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    assert not read_rank(contract).store_served
    served = read_rank({**contract, "TORCHELASTIC_USE_AGENT_STORE": "True"})
    patience = Patience(meeting=timedelta(seconds=2))
    with pytest.raises(RendezvousError, match="did not meet"):
        join(served, torch.device("cpu"), alone_needs_group=True, patience=patience)
    store = TCPStore("127.0.0.1", served.master_port, 2, is_master=True, wait_for_workers=False)
    assert store.port == served.master_port, "the port was never taken"


def test_the_stop_file_is_looked_at_seldom_and_by_the_first_rank_alone(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    watch = StopWatch(stop, first=True, look_seconds=1000.0)
    assert not watch.asked()
    stop.touch()
    assert not watch.asked(), "it looked again too soon"
    assert StopWatch(stop, first=True).asked()
    assert not StopWatch(stop, first=False).asked()
    often = StopWatch(stop, first=True, look_seconds=0.0)
    assert often.asked()
    stop.unlink()
    assert often.asked(), "once asked it stays asked"
