"""A machine that answers as it is told and notes what it was asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neox.submit.processes import Process
from neox.submit.refusal import SchedulerError
from neox.submit.runner import NOTHING, Finished

Answer = Callable[[tuple[str, ...]], tuple[int, str, str]]


@dataclass
class FakeRunner:
    """`answers` maps a command's name to what it says; a command without one is not there."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(
        self,
        argv: tuple[str, ...],
        *,
        timeout: float = 60,
        stdin: str = "",
        extra: Mapping[str, str] = NOTHING,
    ) -> Finished:
        self.asked.append(argv)
        if argv[0] not in self.answers:
            raise SchedulerError(f"{argv[0]} is not on this machine's PATH")
        code, stdout, stderr = self.answers[argv[0]](argv)
        return Finished(argv=argv, code=code, stdout=stdout, stderr=stderr)

    def stay(self, argv: tuple[str, ...], *, cwd: Path, inside: bool = False) -> int:
        self.asked.append(argv)
        return 0

    def detach(
        self, argv: tuple[str, ...], *, cwd: Path, logs: Path, extra: Mapping[str, str]
    ) -> Process:
        self.asked.append(argv)
        return Process(1, 0)


def says(stdout: str, code: int = 0, stderr: str = "") -> Answer:
    return lambda argv: (code, stdout, stderr)


def sbatch() -> Answer:
    """Gives job ids from 101 on."""
    given: list[int] = []

    def answer(argv: tuple[str, ...]) -> tuple[int, str, str]:
        given.append(101 + len(given))
        return 0, f"{given[-1]}\n", ""

    return answer
