"""The walls between the rooms: setup.cfg states them, import-linter reads the imports."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_import_contract_holds() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:]


def test_the_environment_is_read_at_the_edges_only() -> None:
    """Inside, values come in as arguments; these files are where they enter."""
    edges = {
        "neox/content.py",
        "neox/data/inspect_cli.py",  # NO_COLOR
        "neox/data/parts.py",  # tells tokenizers to keep to one core, and reads nothing
        "neox/data/prepare_cli.py",  # a rank of a job, as run/jobs.py is
        "neox/kernels/cli.py",
        "neox/run/jobs.py",
        "neox/run/preflight.py",  # ranks of a job, as run/jobs.py is
        "neox/run/tune.py",  # where the store is, as kernels/cli.py
        "neox/run/verify_site.py",
        "neox/submit/cli.py",
        "neox/submit/edge.py",
        "neox/submit/runner.py",
        "neox/train/engine.py",  # DeepSpeed's own switches must be set before its import
    }
    readers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "neox").rglob("*.py")
        if _reads_environment(path)
    }
    assert readers <= edges, sorted(readers - edges)


def _reads_environment(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
            return isinstance(node.value, ast.Name) and node.value.id == "os"
    return False


def test_nothing_speaks_of_the_machine_it_was_written_on() -> None:
    forbidden = ("/work" + "/main", "/root" + "/", "pypi" + "-more")
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in files:
        text = (ROOT / name).read_text(errors="replace")
        for word in forbidden:
            assert word not in text, f"{name} names {word}"
