"""The project's own images, read without the tools that build them: pins, secrets, users, files."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from neox.content import shipped

ROOT = shipped("sites").parent
FOLDER = ROOT / "containers"
DOCKERFILES = sorted(FOLDER.glob("Dockerfile.*"))
KNOWN = {"ARG", "FROM", "ENV", "RUN", "COPY", "USER", "WORKDIR", "CMD"}
SECRET = re.compile(r"(?i)token|secret|passw|api_?key|credential")
Instruction = tuple[str, str]


def instructions(file: Path) -> list[Instruction]:
    """Each instruction with what follows it, continued lines joined."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(name, rest) for name, rest in pairs]


def definition() -> dict[str, str]:
    """The sections of the Apptainer definition; "" is its header."""
    parts = re.split(r"^%(\w+)\n", (FOLDER / "neox.def").read_text(), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def pip_requirements(commands: str) -> list[str]:
    found: list[str] = []
    for command in re.split(r"&&|\n", commands):
        words = shlex.split(command)
        if words[1:2] == ["install"] and words[0].endswith("pip"):
            words = words[2:]
            if words[:1] == ["--index-url"]:
                assert words[1].startswith("${TORCH_INDEX:?"), "a mirror may have the wheels"
                words = words[2:]
            found += words
    return found


def is_pinned(requirement: str) -> bool:
    if requirement.startswith("/opt/src"):
        return True  # this checkout, whose setup.cfg has the bounds
    return str(Requirement(requirement).specifier).startswith("==")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_a_dockerfile_is_pinned_and_ends_without_root(file: Path) -> None:
    found = instructions(file)
    assert {name for name, _ in found} <= KNOWN
    bases = [rest for name, rest in found if name == "FROM"]
    assert bases
    assert all(re.fullmatch(r"[a-z./-]+:\d+\.\d+\.\d+[a-z0-9.-]*", base) for base in bases)
    commands = "\n".join(rest for name, rest in found if name == "RUN")
    wanted = pip_requirements(commands)
    assert any(each.startswith("torch==") for each in wanted)
    assert all(is_pinned(each) for each in wanted)
    assert not re.search(r"\b(sudo|curl|wget|chmod 777)\b", commands)
    users = [rest for name, rest in found if name == "USER"]
    assert users[-1:] == ["10001"]  # a number: a cluster can tell that it is not root
    after = found[found.index(("USER", "10001")) :]
    assert not [rest for name, rest in after if name == "RUN"]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")  # of the extra `test`
    words = [hadolint, "--no-color", *DOCKERFILES]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_there_is_an_image_for_each_vendor() -> None:
    assert [file.suffix for file in DOCKERFILES] == [".cuda", ".rocm"]


@pytest.mark.parametrize("name", ["Dockerfile.cuda", "Dockerfile.rocm", "compose.yml", "neox.def"])
def test_no_secret_is_in_an_image(name: str) -> None:
    lines = (FOLDER / name).read_text().splitlines()
    assert not [line for line in lines if SECRET.search(line.partition("#")[0])]


def test_what_is_copied_is_a_list_of_what_is_needed() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {line.split()[0] for line in definition()["files"].splitlines() if line.strip()}
    assert allowed == copied
    assert all((ROOT / name).exists() for name in allowed)
    # what setup.py and setup.cfg read
    assert {"setup.py", "setup.cfg", "neox", "sites", "jobs", "configs", "templates"} <= allowed


def test_the_apptainer_definition_is_the_same_image() -> None:
    parts = definition()
    assert set(parts) == {"", "files", "post", "environment", "runscript"}
    (base,) = (rest for name, rest in instructions(FOLDER / "Dockerfile.cuda") if name == "FROM")
    assert f"Bootstrap: docker\nFrom: {base}\n" in parts[""]
    runs = [rest for name, rest in instructions(FOLDER / "Dockerfile.cuda") if name == "RUN"]
    assert pip_requirements(parts["post"]) == pip_requirements("\n".join(runs))


def test_the_compose_file_runs_as_the_person_and_takes_no_privilege() -> None:
    services = yaml.safe_load((FOLDER / "compose.yml").read_text())["services"]
    assert set(services) == {"cuda", "rocm"}
    for name, service in services.items():
        arguments = service["build"].pop("args", {})
        assert service["build"] == {
            "context": "..",
            "dockerfile": f"containers/Dockerfile.{name}",
        }
        dockerfile = instructions(FOLDER / f"Dockerfile.{name}")
        assert list(arguments) == [rest for kind, rest in dockerfile if kind == "ARG"]
        assert service["user"].startswith("${NEOX_UID")
        assert "privileged" not in service
        assert not any("docker.sock" in volume for volume in service["volumes"])
