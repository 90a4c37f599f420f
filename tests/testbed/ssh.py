"""Nodes that answer ssh, on one machine: a real sshd for each, under a host name of its own.

`login` is a command prefix: behind it the names resolve, and ssh and mpirun reach the nodes without
a password or an option. Nothing of the machine's own configuration is changed.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.testbed import packages
from tests.testbed.daemons import BedError, Daemons, call

COMMANDS = ("sshd", "ssh", "ssh-keygen", "unshare")
PORT = 2200


class SshNodes:
    """Start with `up`, stop with `down`."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder = folder.resolve()
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        pid = os.getpid()  # several test processes have nodes at the same time
        network = f"127.{2 + pid // 250 % 250}.{pid % 250}"
        self.addresses = [f"{network}.{number}" for number in range(1, nodes + 1)]
        self.daemons = Daemons(self.folder)

    @property
    def login(self) -> tuple[str, ...]:
        return ("unshare", "--mount", "--propagation", "private", str(self.folder / "login"))

    def up(self) -> None:
        """Raises BedError; what was started by then is stopped again."""
        if os.getuid() != 0:
            raise BedError("the ssh nodes need root: each gets a name of its own")
        packages.need(COMMANDS, ("openssh-server", "openssh-client"))
        try:
            self._files()
            for name, address in zip(self.names, self.addresses, strict=True):
                self._start(name, address)
        except (BedError, OSError, subprocess.SubprocessError):
            self.down()
            raise

    def down(self) -> None:
        self.daemons.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> None:
        folder = self.folder
        (folder / "ssh_config.d").mkdir(parents=True)
        folder.chmod(0o700)
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on this folder
        for key in ("host_key", "key"):
            call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)])
        (folder / "authorized_keys").write_text((folder / "key.pub").read_text())
        (folder / "authorized_keys").chmod(0o600)
        pairs = zip(self.addresses, self.names, strict=True)
        lines = [f"{address} {name}" for address, name in pairs]
        (folder / "hosts").write_text("\n".join([Path("/etc/hosts").read_text(), *lines, ""]))
        (folder / "ssh_config.d" / "nodes.conf").write_text(
            f"Host n*\n  Port {PORT}\n  IdentityFile {folder}/key\n  IdentitiesOnly yes\n"
            "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
            "  BatchMode yes\n"
        )
        inside = "".join(
            f"mount --bind {folder}/{name} {target}\n"
            for name, target in (("hosts", "/etc/hosts"), ("ssh_config.d", "/etc/ssh/ssh_config.d"))
        )
        login = folder / "login"
        login.write_text(f'#!/bin/sh -e\n{inside}exec "$@"\n')
        login.chmod(0o700)

    def _start(self, name: str, address: str) -> None:
        folder, config = self.folder, self.folder / f"sshd-{name}"
        config.write_text(
            f"Port {PORT}\nListenAddress {address}\nHostKey {folder}/host_key\n"
            f"PidFile {folder}/{name}.pid\nAuthorizedKeysFile {folder}/authorized_keys\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\n"
        )
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
        named = ["sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh", name]
        space = ["unshare", "--uts", "--mount", "--propagation", "private"]
        call([*space, *named, str(folder / "login"), sshd, "-f", str(config)])
        self.daemons.note_from(f"sshd-{name}", folder / f"{name}.pid")
