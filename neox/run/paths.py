"""The one object that knows every file name of a run directory."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """Files of the run directory `root` (absolute, without `~` or variables)."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    # --- what the review is about
    @property
    def job_script(self) -> Path:
        return self.root / "job.sh"

    @property
    def rank_script(self) -> Path:
        return self.root / "rank.sh"

    @property
    def run_config(self) -> Path:
        return self.root / "run.yml"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def review_page(self) -> Path:
        return self.root / "review.html"

    @property
    def submissions(self) -> Path:
        return self.root / "submissions.jsonl"

    def link(self, number: int) -> "RunPaths":
        """What link `number` was submitted with, frozen: rank.sh, run.yml, plan.json."""
        return RunPaths(self.root / "links" / str(number))

    # --- what the job writes
    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def job_log(self, job_id: str) -> Path:
        return self.logs / f"{job_id}.out"

    def rank_log(self, node: str, rank: int) -> Path:
        return self.logs / f"{node}.{rank}.log"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def profiles(self) -> Path:
        return self.root / "profiles"

    # --- state: how job script, ranks and `neox-submit` talk to each other
    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def owner(self) -> Path:
        return self.state / "owner"

    @property
    def events(self) -> Path:
        return self.state / "events.jsonl"

    @property
    def links_log(self) -> Path:
        return self.state / "links.jsonl"

    @property
    def heartbeat(self) -> Path:
        return self.state / "heartbeat"

    @property
    def stop(self) -> Path:
        return self.state / "stop"

    @property
    def halt(self) -> Path:
        return self.state / "halt"

    @property
    def done(self) -> Path:
        return self.state / "done"

    def saved(self, job_id: str) -> Path:
        return self.state / f"saved.{job_id}"

    def failed(self, job_id: str) -> Path:
        return self.state / f"failed.{job_id}"

    @property
    def bad_nodes(self) -> Path:
        return self.state / "bad_nodes"

    def preflight(self, job_id: str) -> Path:
        """What each node found about itself before the ranks of this job."""
        return self.state / f"preflight.{job_id}"


def run_of(run_config: Path) -> RunPaths:
    """The run that a `run.yml` belongs to: its own folder, or RUN for RUN/links/N/run.yml."""
    folder = run_config.absolute().parent
    if folder.parent.name == "links":
        return RunPaths(folder.parent.parent)
    return RunPaths(folder)


def newest_step(checkpoints: Path) -> int | None:
    """The step of the newest published checkpoint in the folder; None where there is none.

    By names alone: whether it is sound is for who reads it (neox/checkpoint/directory.py).
    """
    if not checkpoints.is_dir():
        return None
    found = (re.fullmatch(r"step-(\d{8,})", path.name) for path in checkpoints.iterdir())
    return max((int(match[1]) for match in found if match), default=None)
