"""Several processes prepare one corpus, as ranks of a job, and any of them may be killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from neox.data import cli
from neox.data.documents import Shard
from neox.data.parts_folder import PartsFolder, Share

WORLD = 3
PROGRAM = """
if __name__ == '__main__':
    import sys
    from neox.data.cli import main
    sys.exit(main(sys.argv[1:]))
"""


def test_every_shard_has_one_rank_and_loads_are_even():
    generator = random.Random(0)
    for world in (1, 3, 7):
        every = [
            Shard(number=n, paths=(), size=generator.choice([0, 5, 1000, 9000])) for n in range(40)
        ]
        shares = [Share(rank=rank, world=world).of(every) for rank in range(world)]
        taken = [shard for mine in shares for shard in mine]
        assert sorted(shard.number for shard in taken) == list(range(40))
        assert all(mine == sorted(mine, key=lambda one: one.number) for mine in shares)
        loads = [sum(shard.size for shard in mine) for mine in shares]
        assert max(loads) - min(loads) <= 9000


def test_only_the_last_rank_to_finish_joins(tmp_path):
    folders = [PartsFolder(tmp_path, "key", Share(rank=n, world=3, job="7")) for n in range(3)]
    for rank in (2, 0, 1):
        with folders[rank].held(), folders[rank].last() as joins:
            assert joins == (rank == 1)
    folders[1].remove()
    with folders[2].last() as joins:  # it looked when another was already done
        assert not joins


@pytest.mark.slow
def test_three_ranks_and_a_kill_give_the_same_bytes(tmp_path):
    inputs = []
    for number in range(9):
        inputs.append(tmp_path / f"{number}.jsonl")
        lines = [json.dumps({"text": f"text {number}.{n} " * 40}) for n in range(40 + 5 * number)]
        inputs[-1].write_text("\n".join(lines) + "\n")
    script = tmp_path / "prepare.py"  # spawned workers import the main module again
    script.write_text(PROGRAM)

    def words(output):
        plain = ["prepare", "--input", *inputs, "--output-prefix", tmp_path / output]
        plain += ["--tokenizer-type", "CharLevelTokenizer", "--workers", "1", "--chunk-mb", "0.004"]
        return [str(one) for one in plain]

    def start(job):
        return [
            subprocess.Popen(
                [sys.executable, script, *words("many")],
                env=os.environ | rank_variables(rank, job),
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for rank in range(WORLD)
        ]

    parts = tmp_path / "many_text_document.parts"
    ranks = start("1")
    wait_for(lambda: any(parts.rglob("000001-*.json")), ranks)
    os.kill(ranks[1].pid, signal.SIGKILL)
    told = [process.communicate(timeout=60)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0, -signal.SIGKILL, 0]
    assert "the last rank to finish joins them" in told[0] and "joins them" in told[2]
    assert not (tmp_path / "many_text_document.bin").exists()

    ranks = start("2")
    told = [process.communicate(timeout=60)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0, 0]
    assert sum("many_text_document.bin" in one for one in told) == 1
    assert "parts from an earlier run" in "".join(told)
    assert not parts.exists()

    assert cli.main(words("one")) == 0
    for end in (".bin", ".idx"):
        one, many = (tmp_path / f"{name}_text_document{end}" for name in ("one", "many"))
        assert one.read_bytes() == many.read_bytes()


def rank_variables(rank, job):
    here = {"RANK": rank, "LOCAL_RANK": 0, "WORLD_SIZE": WORLD, "LOCAL_WORLD_SIZE": 1}
    there = {"MASTER_ADDR": "localhost", "MASTER_PORT": 1, "NEOX_JOB_ID": job}
    return {name: str(value) for name, value in (here | there).items()}


def wait_for(condition, processes):
    while not condition() and all(process.poll() is None for process in processes):
        time.sleep(0.005)
