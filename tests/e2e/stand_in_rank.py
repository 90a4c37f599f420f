"""What a rank runs where a test is about the job around it: no model, every file of the contract.

The first argument says what to do; the second is the run.yml that job.sh passed.
    leave   save at once, then leave 0 to 6 seconds later, by rank, with code 0
    at-once save, and leave with code 0
    wait    live until state/stop is there, then save and leave
    fail    note a failure with code 3, and leave with it
    fail-alone   as fail, in the last rank; the others wait for it
    hang    show life once, then never again
    slow-start, slow-save, slow-exit   as wait, but 3 s long in that phase, marked by a file
"""

import faulthandler
import json
import os
import signal
import sys
import time
from pathlib import Path

from neox.run.heartbeat import Heartbeat
from neox.run.paths import run_of
from neox.run.rank import read_rank
from neox.run.stop import write_saved

act, paths = sys.argv[1], run_of(Path(sys.argv[2]))
rank = read_rank(os.environ)
seen = {
    "rank": rank.rank,
    "node": os.uname().nodename,
    "cores": sorted(os.sched_getaffinity(0)),
    "gpus": os.environ.get("ROCR_VISIBLE_DEVICES"),
    "world": rank.world_size,
}
(paths.state / f"rank.{rank.job_id}.{rank.rank}").write_text(json.dumps(seen))
print(f"rank {rank.rank} is here", flush=True)


def save(step: int) -> None:
    if rank.rank == 0:
        (paths.checkpoints / f"step-{step:08d}").mkdir(exist_ok=True)
        write_saved(paths, rank.job_id, step)


def linger(phase: str) -> None:
    """Be 3 s in a phase that a test waits for."""
    if act == f"slow-{phase}":
        (paths.state / f"phase.{phase}").touch()
        time.sleep(3)


if act == "at-once":
    save(1)
elif act == "leave":
    save(1)
    time.sleep(6 * rank.rank / max(1, rank.world_size - 1))
elif act == "fail" or (act == "fail-alone" and rank.rank == rank.world_size - 1):
    paths.failed(rank.job_id).write_text(
        json.dumps({"code": 3, "rank": rank.rank, "reason": "no data"})
    )
    sys.exit(3)
elif act == "hang":
    Heartbeat(paths.heartbeat, first=rank.rank == 0).beat("step", 7)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)  # as neox.run.cli does
    time.sleep(120)
elif act in ("slow-save", "slow-exit"):  # it would have left anyway
    linger("save")
    save(1)
    linger("exit")
else:
    linger("start")
    heart = Heartbeat(paths.heartbeat, first=rank.rank == 0)
    end = time.monotonic() + 120
    while not paths.stop.exists() and time.monotonic() < end:
        heart.beat("step", 1)
        time.sleep(0.2)
    save(len(list(paths.checkpoints.iterdir())) + 1)
(paths.state / f"left.{rank.job_id}.{rank.rank}").write_text(str(time.time()))
