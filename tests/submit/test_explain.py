"""Each line of job.sh has an origin, and the right one."""

import re

from neox.submit.explain import explain
from neox.submit.origins import LINE_MARK, SECTION_MARK, split_origins
from neox.submit.render import render
from tests.golden.cases import plan_for


def test_marks_are_taken_out() -> None:
    marked = f"{SECTION_MARK}a\none\ntwo{LINE_MARK}b\nthree\n{SECTION_MARK}c\n\nfour\n"
    text, origins = split_origins(marked)
    assert text == "one\ntwo\nthree\n\nfour\n"
    assert origins == ("a", "b", "a", "c", "c")


def test_every_line_is_explained_once_and_in_order() -> None:
    plan = plan_for("frontier", 12)
    script = render(plan, link=1)
    assert all(script.job_origins)
    assert len(script.job_origins) == len(script.job.splitlines())
    numbers = [line[:4] for line in explain(plan, script) if re.match(r" *\d+(  |$)", line)]
    assert [int(number) for number in numbers] == list(range(1, len(script.job_origins) + 1))


def test_lines_come_from_where_they_were_set() -> None:
    plan = plan_for("frontier", 12)
    script = render(plan, link=1)
    by_line = dict(zip(script.job.splitlines(), script.job_origins, strict=True))
    assert by_line["#SBATCH --account=abc123"] == "--account"
    assert by_line["#SBATCH --time=2:00:00"] == "--time"
    assert by_line["load rocm/7.1.1"].startswith("sites/frontier.toml:")
    assert "env" in by_line["export FI_MR_CACHE_MONITOR=kdreg2"]
    assert by_line["set -Eeo pipefail"].startswith("rule: ")
    python = by_line["python=/ccs/proj/abc123/neox/.venv/bin/python"]
    assert re.fullmatch(r"sites/frontier.toml:\d+ python(\.path)?", python)


def test_profile_lines_are_real_lines() -> None:
    """The line that an origin names does hold that table or key."""
    plan = plan_for("frontier", 12)
    origins = render(plan, link=1).job_origins
    found = {origin for origin in origins if origin.startswith("sites/")}
    assert found
    for origin in found:
        place, path = origin.split(" ", 1)
        file, number = place.split(":")
        line = (plan_lines(file))[int(number) - 1]
        assert any(part in line for part in path.replace(".", " ").split()), (origin, line)


def plan_lines(file: str) -> list[str]:
    from neox.content import shipped

    return (shipped("sites") / file.removeprefix("sites/")).read_text().splitlines()
