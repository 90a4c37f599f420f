"""The kept scripts are what is rendered now; linters find nothing in them; all obey some rules."""

import re
import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from tests.golden.cases import FOLDER, Case, cases, every_script, is_kept, plan_for

CASES = tuple(cases())
SITES = {site: tuple(found) for site, found in groupby(CASES, lambda case: case.site)}
FILES = sorted(FOLDER.glob("*/*.sh"))
of_each_site = pytest.mark.parametrize("site", SITES)


@of_each_site
def test_scripts_are_the_ones_kept(site: str) -> None:
    """After a change that is meant: python -m tests.golden.update, and read the diff."""
    kept = {f"{site}/{file.name}": file.read_text() for file in FOLDER.glob(f"{site}/*.sh")}
    wanted = set()
    for case in SITES[site]:
        for name, text in every_script(case).items():
            if is_kept(case, name):
                wanted.add(name)
                assert text == kept.get(name), name
            else:
                of_train = kept[name.replace(f"-{case.kind}.", "-train.")]
                assert text.replace(f"links/{case.link}\n", "links/1\n") == of_train, name
    assert kept.keys() == wanted


def test_no_other_site_is_kept() -> None:
    assert {file.parent.name for file in FILES} == set(SITES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "linter", [("shellcheck",), ("shfmt", "-i", "2", "-d")], ids=lambda it: it[0]
)
def test_linters_have_nothing_to_say(linter: tuple[str, ...]) -> None:
    files = distinct(FILES)
    halves = [
        subprocess.Popen([*linter, *half], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for half in (files[::2], files[1::2])
    ]
    assert [(half.communicate()[0], half.returncode) for half in halves] == [(b"", 0)] * 2


def distinct(files: list[Path]) -> list[Path]:
    """Those that are not the same but for numbers and lines that are comments."""
    first: dict[str, Path] = {}
    for file in files:
        first.setdefault(re.sub(r"^#.*\n|\d+", "", file.read_text(), flags=re.MULTILINE), file)
    return list(first.values())


def test_bash_reads_them_and_no_linter_is_silenced() -> None:
    for file in FILES:
        subprocess.run(["/bin/bash", "-n", file], check=True)
        assert "shellcheck disable" not in file.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rules_that_every_script_obeys(case: Case) -> None:
    job = (FOLDER / f"{case.name}.job.sh").read_text()
    lines = job.splitlines()
    code = [line for line in lines if line and not line.startswith("#")]
    assert code[0] == "set -Eeo pipefail"  # and so every directive stands before it
    assert not any("set -x" in line for line in code)
    assert not any(word in job for word in ("| head", "| grep", "grep -q", "eval "))
    assert job.index("trap mark_stop USR2") < job.index("unset PYTHONPATH PYTHONHOME")
    assert "unset PYTHONPATH PYTHONHOME" in code and "set -u" in code
    assert not any(line.strip().startswith("module load") and "||" not in line for line in code)
    if "#SBATCH" in job:
        node = plan_for(case.site, case.nodes, case.kind).node_type
        threads = f"--threads-per-core={node.threads_per_core}"
        assert {"#SBATCH --no-requeue", f"#SBATCH {threads}"} <= set(lines)
        assert "exec srun" not in job or threads in job[job.index("exec srun") :]
    assert "--export=" not in job
