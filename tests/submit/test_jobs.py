"""Job kinds: the shipped ones, a person's own, and mistakes with their lines."""

from pathlib import Path

import pytest

from neox.content import Shelf, shelf, shipped
from neox.sites.problems import JobKindErrors
from neox.submit import job_show
from neox.submit.jobs import load_job


def own(folder: Path, **texts: str) -> Shelf:
    jobs = folder / "jobs"
    jobs.mkdir()
    for name, text in texts.items():
        (jobs / f"{name}.toml").write_text(text, encoding="utf-8")
    return Shelf(name="jobs", folders=(jobs, shipped("jobs")), base=folder)


SHIPPED = shelf("jobs", environ={}, cwd=Path("/"))


def test_the_shipped_kinds() -> None:
    jobs = {entry.name: load_job(entry.name, SHIPPED) for entry in SHIPPED.entries()}
    assert jobs.keys() >= {
        "train",
        "finetune",
        "evaluate",
        "generate",
        "prepare-data",
        "convert",
        "preflight",
        "verify-site",
        "tune",
    }
    assert jobs["train"].entry == ("train", "{run_yml}")
    assert jobs["train"].ranks == "per-gpu"
    assert jobs["train"].signal
    assert jobs["finetune"].entry == jobs["train"].entry
    assert jobs["finetune"].config == {"finetune": True}
    assert jobs["finetune"].needs.checkpoint
    assert jobs["finetune"].needs.data  # from train
    assert jobs["evaluate"].seconds == 1800
    assert not jobs["evaluate"].chain
    assert not jobs["prepare-data"].needs.gpus
    assert jobs["build-kernels"].needs.compiler


def test_a_kind_of_ones_own(tmp_path: Path) -> None:
    text = 'schema=1\nextends="train"\ntitle="mine"\ntime="90m"\n[config]\nlr_decay_iters = 5\n'
    job = load_job("mine", own(tmp_path, mine=text))
    assert (job.title, job.seconds, job.config) == ("mine", 5400, {"lr_decay_iters": 5})
    assert job.origins["time"] == "./jobs/mine.toml:4"
    assert job.files == ("./jobs/mine.toml", "jobs/train.toml")


CASES = {
    "unknown key": ('titel = "x"\n', "5: unknown key 'titel'; did you mean title?"),
    "no command": (
        'entry = ["tran"]\n',
        "5: entry: 'tran' is no command of neox; did you mean train?",
    ),
    "no words": ("entry = []\n", '5: entry: is a list such as ["train", "{run_yml}"]'),
    "placeholder": (
        'entry = ["train", "{home}/x"]\n',
        "5: entry[1]: {home} is not known; there are {run_yml}, {run}",
    ),
    "within a word": (
        'entry = ["train", "--x={run_yml}"]\n',
        "5: entry[1]: {run_yml} stands alone, as a whole argument",
    ),
    "newline": ('entry = ["train", "a\\nb"]\n', "5: entry[1]: 'a\\nb' holds a control character"),
    "wrong choice": ('ranks = "all"\n', "5: ranks: 'all' is not a choice"),
    "time": ('time = "x"\n', "5: time: 'x' is not a time"),
}


@pytest.mark.parametrize("case", CASES)
def test_mistakes_have_lines(case: str, tmp_path: Path) -> None:
    text, expected = CASES[case]
    jobs = own(tmp_path, mine='schema = 1\nextends = "train"\n\n\n' + text)
    with pytest.raises(JobKindErrors) as caught:
        load_job("mine", jobs)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"./jobs/mine.toml:{expected}")


def test_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = own(
        tmp_path, train='schema = 1\nextends = "train"\ntitle = "mine"\n', bad="schema = 1\n"
    )
    monkeypatch.setattr(job_show, "shelf_here", lambda name: jobs)
    assert job_show.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "./jobs/train.toml shadows jobs/train.toml" in listed
    assert "bad             broken: ./jobs/bad.toml" in listed
    assert all(len(line) <= 80 for line in listed.splitlines())
    assert job_show.main(["show", "finetune"]) == 0
    assert "config        finetune = True" in capsys.readouterr().out
    assert job_show.main(["show", "trian"]) == 2
    assert "no job named 'trian'; there are: bad, build-kernels" in capsys.readouterr().err
