"""The reference pages say what the code says."""

from pathlib import Path

import pytest

from neox.sites.profile import Profile, Queue
from neox.sites.reference import field_comments, renewed
from neox.sites.typed import file_fields
from neox.submit.job_kind import JobKind

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "cls", "command"),
    [
        ("site-profile.md", Profile, "python -m neox.sites.reference docs/site-profile.md"),
        ("job-kinds.md", JobKind, "python -m neox.submit.job_reference docs/job-kinds.md"),
    ],
)
def test_the_page_is_not_stale(page: str, cls: type, command: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == renewed(text, cls), f"run: {command}"


def test_every_key_has_a_meaning() -> None:
    for line in (DOCS / "site-profile.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            assert not line.endswith("| |"), line


def test_comments_above_and_behind_a_field() -> None:
    comments = field_comments(Queue)
    assert comments["name"] == "as the scheduler knows it"
    assert comments.keys() >= {"default_seconds", "bins", "partition"}
    assert file_fields(Queue).keys() >= {"default_time", "bins"}
    assert "default_seconds" not in file_fields(Queue)
