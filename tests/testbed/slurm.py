"""A real Slurm with six nodes and accounting on one machine, for tests; `python -m
tests.testbed.slurm up DIR | down DIR` for a look around.

Each slurmd lives in its own UTS and mount namespace, so that `hostname` says n1 to d2 and the
names resolve inside jobs. Everything lies in one folder; only pids noted there are ever stopped.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.testbed import packages, slurm_conf
from tests.testbed.daemons import BedError, Daemons, answers, call, wait_for
from tests.testbed.slurm_conf import PORTS, SHAPES, Places, node_names

COMMANDS = ("slurmctld", "slurmd", "srun", "munged", "slurmdbd", "mariadbd", "unshare", "cc")
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


class SlurmCluster:
    """Start with `up`, stop with `down`; `env` makes Slurm's commands talk to it."""

    def __init__(self, folder: Path) -> None:
        user = pwd.getpwuid(os.getuid()).pw_name
        host = socket.gethostname().partition(".")[0]
        self.at = Places(folder=folder.resolve(), user=user, host=host, port=_free_ports(PORTS))
        self.daemons = Daemons(self.at.folder)

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
        path = f"{os.environ['PATH']}:{SYSTEM_PATH}"
        return {**kept, "PATH": path, "SLURM_CONF": str(self.at.conf), "LC_ALL": "C"}

    def up(self) -> None:
        """Raises BedError; what was started by then is stopped again."""
        if os.getuid() != 0:
            raise BedError("the Slurm test bed needs root: it gives each node a name of its own")
        packages.need(COMMANDS, (*packages.SLURM, *packages.ACCOUNTING, "gcc", "libc6-dev"))
        try:
            self._folders()
            self._munge()
            self._configuration()
            self._accounting()
            self._controller()
            self._nodes()
        except (BedError, OSError, subprocess.SubprocessError) as error:
            logs = self._ends_of_logs()
            self.down(keep=True)
            raise BedError(f"{error}\n{logs}") from None

    def down(self, *, keep: bool = False) -> None:
        """Cancel what still runs, stop the daemons noted here, remove the folder."""
        if any(name == "slurmctld" and one.alive for name, one in self.daemons.noted):
            with suppress(BedError, OSError, subprocess.SubprocessError):
                self.cancel_all()
        self.daemons.stop()
        if not keep:
            shutil.rmtree(self.at.folder, ignore_errors=True)

    def cancel_all(self) -> None:
        """Until no job is left in the queue."""
        jobs = call(["squeue", "-h", "-o", "%A"], self.env).split()
        if jobs:
            call(["scancel", *jobs], self.env)
            wait_for("jobs end", lambda: not call(["squeue", "-h"], self.env).strip(), 40)

    def wait_idle(self, seconds: float = 60) -> None:
        """Until no job is left and every node is free."""

        def idle() -> bool:
            free = call(["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"], self.env)
            return set(free.split()) == set(node_names())

        wait_for("idle nodes", idle, seconds)

    # --- the steps of `up` ------------------------------------------------------------------------

    def _folders(self) -> None:
        folder = self.at.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", "log", "dev", "masks", "db", "munge"):
            (folder / name).mkdir(exist_ok=True)
        for name in ("db", "munge"):
            (folder / name).chmod(0o700)
        (folder / "masks").chmod(0o1777)
        for node in node_names():
            (folder / "spool" / node).mkdir(parents=True)
            (folder / "tmp" / node).mkdir(parents=True)
        hosts = Path("/etc/hosts").read_text()
        lines = [f"127.0.1.{i} {name}" for i, name in enumerate(node_names(), 1)]
        (folder / "hosts").write_text("\n".join([hosts, f"127.0.0.1 {self.at.host}", *lines, ""]))

    def _munge(self) -> None:
        folder, key = self.at.folder / "munge", self.at.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        options = {
            "key-file": key,
            "socket": self.at.munge_socket,
            "pid-file": folder / "pid",
            "log-file": folder / "log",
            "seed-file": folder / "seed",
            "num-threads": 2,
        }
        call([_sbin("munged"), *(f"--{name}={value}" for name, value in options.items())])
        self.daemons.note_from("munged", folder / "pid")
        socket_path = str(self.at.munge_socket)
        wait_for("munged", lambda: answers(["munge", "-S", socket_path, "-n"]), 20)

    def _configuration(self) -> None:
        folder = self.at.folder
        source = Path(__file__).with_name("fake_affinity.c")
        masks = f'-DMASKS="{folder}/masks"'
        output = str(self.at.affinity)
        call(["cc", "-O1", "-shared", "-fPIC", masks, "-o", output, str(source), "-ldl"])
        self.at.conf.write_text(slurm_conf.slurm_conf(self.at))
        (folder / "gres.conf").write_text(slurm_conf.gres_conf(self.at))
        version = call([_sbin("slurmd"), "-V"]).split()[-1]
        (folder / "cgroup.conf").write_text(slurm_conf.cgroup_conf(version))
        for gpu in range(max(len(shape.gpu_cores) for shape in SHAPES)):
            (folder / "dev" / f"gpu{gpu}").symlink_to("/dev/null")
        prolog = folder / "task_prolog"
        prolog.write_text(f"#!/bin/sh\necho export LD_PRELOAD={output}\n")
        prolog.chmod(0o755)

    def _accounting(self) -> None:
        password = secrets.token_hex(12)
        self._database(password)
        conf = self.at.folder / "slurmdbd.conf"
        conf.write_text(slurm_conf.database_conf(self.at, password))
        conf.chmod(0o600)
        call([_sbin("slurmdbd")], self.env)
        self.daemons.note_from("slurmdbd", self.at.folder / "slurmdbd.pid")
        wait_for("slurmdbd", lambda: answers(["sacctmgr", "-n", "list", "cluster"], self.env), 60)
        manage = ["sacctmgr", "-i"]
        call([*manage, "add", "cluster", "bed"], self.env)
        for name in slurm_conf.ACCOUNTS:
            call([*manage, "add", "account", name, "Cluster=bed"], self.env)
            call([*manage, "add", "user", self.at.user, f"Account={name}", "Cluster=bed"], self.env)

    def _database(self, password: str) -> None:
        """MariaDB, small and careless: what it holds need not survive a power cut."""
        db = self.at.folder / "db"
        install = ["--no-defaults", "--user=root", f"--datadir={db}/data", "--skip-test-db"]
        root = "--auth-root-authentication-method=normal"
        call(["mariadb-install-db", *install, root, "--skip-name-resolve"])
        setup = db / "init.sql"
        setup.write_text(
            "CREATE DATABASE IF NOT EXISTS slurm_acct_db;\n"
            f"CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';\n"
        )
        setup.chmod(0o600)
        options = {
            "datadir": db / "data",
            "socket": db / "s",
            "pid-file": db / "pid",
            "bind-address": "127.0.0.1",
            "port": self.at.port + 2,
            "init-file": setup,
            "user": "root",
            "innodb-buffer-pool-size": "32M",
            "innodb-log-file-size": "16M",
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-flush-method": "nosync",
            "innodb-doublewrite": 0,
            "innodb-lock-wait-timeout": 900,
            "performance-schema": 0,
            "max-connections": 30,
        }
        argv = ["--no-defaults", "--skip-name-resolve"]
        argv += [f"--{name}={value}" for name, value in options.items()]
        with (self.at.folder / "log" / "mariadbd.log").open("wb") as log:
            child = subprocess.Popen(
                [_sbin("mariadbd"), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.daemons.note("mariadbd", child.pid)
        ask = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(self.at.port + 2)]
        ask += ["-u", "slurm", f"-p{password}", "-e", "select 1", "slurm_acct_db"]
        wait_for("mariadbd", lambda: answers(ask), 60)

    def _controller(self) -> None:
        self._in_node(self.at.host, {}, [_sbin("slurmctld"), "-c"])
        self.daemons.note_from("slurmctld", self.at.folder / "slurmctld.pid")
        wait_for("slurmctld", lambda: answers(["scontrol", "ping"], self.env), 60)

    def _nodes(self) -> None:
        preload = {"LD_PRELOAD": str(self.at.affinity)}
        for shape in SHAPES:
            pretend = {"HWLOC_SYNTHETIC": shape.topology, **preload}
            for node in shape.names:
                self._in_node(node, pretend, [_sbin("slurmd"), "-N", node])
        for node in node_names():
            self.daemons.note_from(f"slurmd-{node}", self.at.folder / f"slurmd-{node}.pid")
        self.wait_idle(60)

    def _in_node(self, name: str, extra: dict[str, str], argv: list[str]) -> None:
        """Run argv as if on the machine `name`; it shares everything else with this one."""
        script = 'hostname "$1" && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'
        namespace = ["unshare", "--uts", "--mount", "--propagation", "private"]
        words = [f"{key}={value}" for key, value in extra.items()]
        hosts = str(self.at.folder / "hosts")
        inner = ["sh", "-c", script, "sh", name, hosts, "env", *words, *argv]
        call([*namespace, *inner], self.env)

    def _ends_of_logs(self) -> str:
        ends = []
        for path in sorted((self.at.folder / "log").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-4:]
            ends += [f"--- {path.name}", *tail] if tail else []
        return "\n".join(ends)


class CloudController(SlurmCluster):
    """A controller without a node that runs: it says whether a whole machine's job would start."""

    def __init__(self, folder: Path, nodes: int) -> None:
        super().__init__(folder)
        self.nodes = nodes

    def _configuration(self) -> None:
        self.at.conf.write_text(slurm_conf.cloud_conf(self.at, self.nodes))
        (self.at.folder / "cgroup.conf").write_text("")

    def _accounting(self) -> None:
        """None: who pays is not what is asked."""

    def _nodes(self) -> None:
        def known() -> bool:
            count = call(["sinfo", "-h", "-p", "batch", "-o", "%D"], self.env)
            return sum(map(int, count.split())) == self.nodes

        wait_for("nodes of the cloud", known, 60)


def _sbin(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:{SYSTEM_PATH}") or name


def _free_ports(count: int) -> int:
    """The first of `count` free ports in a row, below those that jobs meet at (20000 on)."""
    start = 9000 + os.getpid() * count % 9000  # beds that start together begin at rows of their own
    for first in range(start, start + 2000, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise BedError(f"no {count} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] not in ("up", "down"):
        print("usage: python -m tests.testbed.slurm up DIR | down DIR", file=sys.stderr)
        return 2
    folder = Path(argv[1])
    if argv[0] == "down":
        Daemons.recorded(folder).stop()
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    cluster = SlurmCluster(folder)
    began = time.monotonic()
    cluster.up()
    print(f"export SLURM_CONF={cluster.at.conf}  # up in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
