"""Loads a job kind, with the same reader and the same errors as a site profile."""

import re

from neox.content import Shelf
from neox.sites.inherit import read_document
from neox.sites.located import Value
from neox.sites.problems import JobKindErrors, Report, nearest
from neox.sites.typed import Builder
from neox.submit.job_kind import JobKind

# the subcommands of `neox` that do something for a job
COMMANDS = (
    "train", "evaluate", "generate", "data", "tokenizer", "convert", "preflight",
    "verify-site", "kernels", "tune",
)  # fmt: skip
# in a word of the entry: the run directory; compiler and architectures of the site's [toolchain]
PLACEHOLDERS = ("{run}", "{cc}", "{arch}")
RUN_YML = "{run_yml}"
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def load_job(name: str, shelf: Shelf) -> JobKind:
    """The job kind NAME of the shelf, or of a path that ends in .toml.

    Raises NotOnShelf for an unknown name and JobKindErrors with everything that is wrong.
    """
    path = shelf.find(name)
    report = Report(JobKindErrors)
    document = read_document(path, shelf, report)
    if "entry" in document.tree.table:
        _check_entry(document.tree.table["entry"], report)
    origins = {value.path: value.where for value in document.tree.walk() if value.path}
    extra = {"name": path.stem, "files": document.files, "origins": origins}
    return Builder(report, {}).build(JobKind, document.tree, extra)


def _check_entry(entry: Value, report: Report) -> None:
    words = [word for word in entry.elements if isinstance(word.data, str)]
    if not words:
        report.add(entry.where, 'entry: is a list such as ["train", "{run_yml}"]')
        return
    if str(words[0].data) not in COMMANDS:
        there = nearest(str(words[0].data), COMMANDS)
        report.add(words[0].where, f"entry: {words[0].data!r} is no command of neox{there}")
    for word in words:
        _check_word(word, str(word.data), report)


def _check_word(word: Value, text: str, report: Report) -> None:
    """Words are quoted when they are printed, so only placeholders have to be looked at."""
    if _CONTROL.search(text):
        report.add(word.where, f"{word.path}: {text!r} holds a control character")
    unknown = set(_PLACEHOLDER.findall(text)) - {RUN_YML, *PLACEHOLDERS}
    for placeholder in sorted(unknown):
        report.add(
            word.where,
            f"{word.path}: {placeholder} is not known; there are "
            f"{', '.join((RUN_YML, *PLACEHOLDERS))}",
        )
    if RUN_YML in text and text != RUN_YML:
        report.add(word.where, f"{word.path}: {RUN_YML} stands alone, as a whole argument")
