"""Debian packages of the test beds, installed only where somebody asked for it."""

import os
import subprocess
from pathlib import Path

from tests.testbed.daemons import BedError, missing_commands

SLURM = ("slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge")
ACCOUNTING = ("slurmdbd", "mariadb-server")
POLICY = Path("/usr/sbin/policy-rc.d")


def need(commands: tuple[str, ...], packages: tuple[str, ...]) -> None:
    """Install `packages` where a command is missing. Raises BedError with what to do."""
    missing = missing_commands(*commands)
    if not missing:
        return
    if os.environ.get("NEOX_TESTBED_INSTALL") != "1" or os.getuid() != 0:
        raise BedError(
            f"{', '.join(missing)} not installed: apt-get install {' '.join(packages)}, "
            "or run as root with NEOX_TESTBED_INSTALL=1"
        )
    _install(packages)


def _install(packages: tuple[str, ...]) -> None:
    """Without letting the packages start daemons of their own, whatever init there is."""
    made = not POLICY.exists()
    if made:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for argv in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(argv, check=False, capture_output=True, text=True, env=env)
            if done.returncode != 0:
                raise BedError(f"{' '.join(argv)}: {done.stderr.strip()[-300:]}")
    finally:
        if made:
            POLICY.unlink(missing_ok=True)
