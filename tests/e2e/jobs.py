"""Runs of a test: a folder with a tiny config, `neox-submit` in it, and waits that poll."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neox.run.paths import RunPaths
from tests.e2e.tiny import write_config

ROOT = Path(__file__).resolve().parents[2]
SITES = ROOT / "tests" / "testbed" / "sites"
STAND_IN = Path(__file__).with_name("stand_in_rank.py")

# what a preflight comes to, without starting Python in every rank; "unfit.NODE" makes one bad
LOOK = (
    'run_yml=${*:(-2):1}; cd "${run_yml%/*}/../../state"; '
    "[[ ! -e unfit.$NEOX_NODE ]] || why=.why; "
    'echo "its GPU 3 is gone" >"preflight.$NEOX_JOB_ID/$NEOX_NODE${why-}"'
)


def wait_until(what: str, ready: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what}: not after {seconds:g} s"
        time.sleep(0.2)


@dataclass
class Desk:
    """Where a person of the test sits: a folder, an environment, a config."""

    folder: Path
    env: dict[str, str]
    site: tuple[str, ...]  # the options that name site and account

    def __post_init__(self) -> None:
        self.env = {
            **self.env,
            "NEOX_SITES": str(SITES),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        write_config(self.folder)

    def neox_submit(self, *words: str, code: int = 0, prefix: tuple[str, ...] = ()) -> str:
        argv = [*prefix, sys.executable, "-m", "neox.submit.cli", *words]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{words} ended with {done.returncode}:\n{said}"
        assert "Traceback" not in said
        return said

    def run(self, name: str, *words: str, prefix: tuple[str, ...] = ()) -> RunPaths:
        """Plan and submit a run of the tiny config."""
        words = (*self.site, "--name", name, "tiny.yml", *words, "--yes")
        self.neox_submit(*words, prefix=prefix)
        return RunPaths(self.folder / "runs" / name)

    def python(self, act: str) -> str:
        """An interpreter whose ranks do `act` instead of training."""
        path = self.folder / f"python-{act}"
        path.write_text(
            "#!/bin/bash\n"
            f'[[ "$*" == *"neox.run.cli preflight"* ]] && {{ {LOOK}; exit 0; }}\n'
            f'export PYTHONPATH={ROOT}\n[[ "$*" == *"neox.run.cli train"* ]] &&\n'
            f'  exec {sys.executable} {STAND_IN} {act} "${{@: -1}}"\n'
            f'exec {sys.executable} "$@"\n'
        )
        path.chmod(0o755)
        return str(path)

    def status(self, run: RunPaths) -> dict[str, object]:
        answer = json.loads(self.neox_submit("status", str(run.root), "--json"))
        found = answer["runs"][0]
        assert isinstance(found, dict)
        return found

    def links(self, run: RunPaths) -> list[dict[str, object]]:
        links = self.status(run)["links"]
        assert isinstance(links, list)
        return links

    def wait_for_end(self, run: RunPaths, seconds: float = 60) -> list[object]:
        """Until no link waits or runs; the codes that job.sh wrote down, in order."""

        def ended() -> bool:
            return all(link["state"] == "ended" for link in self.links(run))

        wait_until(f"{run.name} ends", ended, seconds)
        if run.links_log.exists():
            print(run.links_log.read_text())  # with reasons: what a failing test shows
        return codes(run)


def codes(run: RunPaths) -> list[object]:
    if not run.links_log.exists():
        return []
    return [json.loads(line)["code"] for line in run.links_log.read_text().splitlines()]


def losses(run: RunPaths) -> dict[int, str]:
    """Loss of every step, exact."""
    whole = run.events.read_text().rpartition("\n")[0]  # the last line may just be written
    events = [json.loads(line) for line in whole.splitlines()]
    return {e["step"]: e["loss_hex"] for e in events if e["event"] == "step"}


def ranks_seen(run: RunPaths, job_id: str) -> dict[int, dict[str, object]]:
    files = run.state.glob(f"rank.{job_id}.*")
    return {seen["rank"]: seen for seen in (json.loads(f.read_text()) for f in files)}


def call(argv: list[str], env: dict[str, str], code: int = 0) -> str:
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "NEOX", "OMPI"))}
