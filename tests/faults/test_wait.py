"""`wait_for`, which job.sh and rank.sh wait with: signals that come as what they wait for ends."""

import subprocess

import pytest

from neox.content import shipped

WAIT = (shipped("templates") / "wait.sh.j2").read_text()

# The child signals its parent with its last breath; another child lives on, as job.sh's timer does.
LAST_BREATH = """
trap : TERM
sleep 60 &
other=$!
for ((i = 0; i < 500; i++)); do
  (
    trap - TERM
    exec bash -c 'kill -TERM $PPID; exit 42'
  ) &
  wait_for "$!"
  case $code in 42 | 143) ;; *) echo "wait_for gave $code" ;; esac
done
kill "$other"
echo "nobody waits"
"""

MANY_SIGNALS = """
trap : TERM
(
  for ((i = 0; i < 10; i++)); do
    kill -TERM $$
    sleep 0.02
  done
  sleep 0.2
  exit "$1"
) &
wait_for "$!"
echo "$code"
"""


def bash(text: str, *arguments: str) -> str:
    script = f"set -Eeuo pipefail\n{WAIT}\n{text}"
    done = subprocess.run(
        ["/bin/bash", "-c", script, "bash", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=50,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_signal_at_the_very_end_does_not_make_it_wait_for_ever() -> None:
    """Bash forgets about one end in ten that comes together with a trapped signal."""
    assert bash(LAST_BREATH) == "nobody waits\n"


@pytest.mark.parametrize("code", ["0", "7", "139", "143"])
def test_the_code_passes_through_many_signals(code: str) -> None:
    assert bash(MANY_SIGNALS, code) == f"{code}\n"
