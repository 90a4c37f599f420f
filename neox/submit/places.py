"""Placeholders of a site profile, filled in: `/lustre/{account}/{user}` becomes a path.

What only the job or a rank knows becomes a variable of the script instead.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from neox.submit.words import Literal, ShellVar, Word

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# placeholder -> the script's own variable
_IN_THE_JOB = {"job_id": "job_id", "run": "run", "local_rank": "LOCAL_RANK", "node": "node"}
_IN_THE_RANK = frozenset({"LOCAL_RANK", "RANK", "node"})


@dataclass(frozen=True, kw_only=True)
class Names:
    """What placeholders stand for, as far as it is known before the job."""

    user: str
    home: Path
    account: str | None
    cores_per_rank: int
    gpus: int

    def known(self) -> dict[str, str]:
        account = {"account": self.account} if self.account else {}
        return {
            "user": self.user,
            "home": str(self.home),
            "cores_per_rank": str(self.cores_per_rank),
            "gpus": str(self.gpus),
            **account,
        }


def filled(text: str, names: Names) -> str | None:
    """The text with every placeholder filled in; None where one is not known before the job."""
    known = names.known()
    if any(name not in known for name in _PLACEHOLDER.findall(text)):
        return None
    return _PLACEHOLDER.sub(lambda match: known[match[1]], text)


def word(text: str, names: Names) -> Word:
    """The text as one word of the script, job variables included."""
    known = names.known()
    parts: list[Literal | ShellVar] = []
    for index, piece in enumerate(_PLACEHOLDER.split(text)):
        if index % 2 == 0:
            parts.append(Literal(piece))
        elif piece in _IN_THE_JOB:
            parts.append(ShellVar(_IN_THE_JOB[piece]))
        else:
            # only a missing account is not known here, and that is refused elsewhere
            parts.append(Literal(known[piece] if piece in known else piece.upper()))
    return _joined(parts)


def is_for_ranks(value: Word) -> bool:
    """Whether only a rank can fill this in."""
    return any(isinstance(part, ShellVar) and part.name in _IN_THE_RANK for part in value)


def _joined(parts: list[Literal | ShellVar]) -> Word:
    """Neighbouring literals as one, and none that is empty unless it is all there is."""
    joined: list[Literal | ShellVar] = []
    for part in parts:
        if isinstance(part, Literal) and joined and isinstance(joined[-1], Literal):
            joined[-1] = Literal(joined[-1].text + part.text)
        elif part != Literal(""):
            joined.append(part)
    return tuple(joined) or (Literal(""),)
