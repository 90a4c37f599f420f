"""The configuration of a pretended cluster: four nodes with the shape of Frontier's and LUMI's.

Both machines have the same node (one 64-core EPYC, eight GCDs, the first core of each L3 kept for
the system), so one cluster with both centres' partitions and accounts serves for either's scripts.
"""

from dataclasses import dataclass
from pathlib import Path

NODES = 4
GPU_CORES = ("48-55", "56-63", "16-23", "24-31", "0-7", "8-15", "32-39", "40-47")
# a core's second thread is core + 64: what hwloc has to be told to pretend
TOPOLOGY = "pack:1 numa:4 l3:2 core:8 pu:2(indexes=2*64:64*1)"
# in Slurm's own numbering (2c, 2c+1) the threads of cores 0, 8, 16 ...
KEPT_FREE = ",".join(f"{16 * i},{16 * i + 1}" for i in range(8))
ACCOUNTS = ("proj123", "abc123", "project_465000001")
PARTITIONS = (
    "batch Default=YES MaxTime=02:00:00",
    "debug MaxNodes=2 MaxTime=00:30:00",
    "whole OverSubscribe=EXCLUSIVE MaxTime=02:00:00",
    "extended MaxNodes=1 MaxTime=1-00:00:00",
    "standard-g OverSubscribe=EXCLUSIVE MaxTime=2-00:00:00",
    "small-g MaxTime=3-00:00:00",
)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the cluster keeps its things, and its ports."""

    folder: Path
    user: str
    host: str
    port: int  # the first of NODES + 3

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.folder / "munge.sock"

    @property
    def affinity(self) -> Path:
        return self.folder / "fake_affinity.so"


def node_names() -> list[str]:
    return [f"n{i}" for i in range(1, NODES + 1)]


def slurm_conf(at: Places) -> str:
    d = at.folder
    nodes = "\n".join(
        f"NodeName=n{i} NodeHostname={at.host} NodeAddr=127.0.1.{i} Port={at.port + 2 + i} "
        "CPUs=128 Boards=1 SocketsPerBoard=8 CoresPerSocket=8 ThreadsPerCore=2 RealMemory=512000 "
        f"TmpDisk=0 Gres=gpu:8 Feature=gpu,nvme CpuSpecList={KEPT_FREE}"
        for i in range(1, NODES + 1)
    )
    partitions = "\n".join(
        f"PartitionName={name} Nodes=n[1-{NODES}] DefaultTime=00:10:00 State=UP {rest}"
        for name, _, rest in (line.partition(" ") for line in PARTITIONS)
    )
    return f"""\
ClusterName=bed
SlurmctldHost={at.host}(127.0.0.1)
SlurmctldPort={at.port}
SlurmUser={at.user}
SlurmdUser={at.user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={at.munge_socket}
StateSaveLocation={d}/state
SlurmdSpoolDir={d}/spool/%n
TmpFS={d}/tmp/%n
SlurmctldPidFile={d}/slurmctld.pid
SlurmdPidFile={d}/slurmd-%n.pid
SlurmctldLogFile={d}/log/slurmctld.log
SlurmdLogFile={d}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
TaskProlog={d}/task_prolog
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides,l3cache_as_socket
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PriorityType=priority/basic
AllowSpecResourcesUsage=YES
EnforcePartLimits=ALL
DefMemPerCPU=1000
JobRequeue=1
ReturnToService=2
InactiveLimit=0
KillWait=5
MinJobAge=300
MessageTimeout=20
SlurmdTimeout=300
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={at.port + 1}
AccountingStoragePass={at.munge_socket}
AccountingStorageEnforce=associations,limits,qos
{nodes}
{partitions}
"""


def gres_conf(at: Places) -> str:
    lines = [
        f"NodeName=n[1-{NODES}] Name=gpu File={at.folder}/dev/gpu{gpu} Cores={cores} "
        "Flags=amd_gpu_env"
        for gpu, cores in enumerate(GPU_CORES)
    ]
    return "\n".join(["AutoDetect=off", *lines, ""])


def cgroup_conf(version: str) -> str:
    """No cgroups: the word for it changed between 22.05 and 23.02."""
    old = version.startswith(("20.", "21.", "22."))
    return "CgroupAutomount=no\n" if old else "CgroupPlugin=disabled\n"


def database_conf(at: Places, password: str) -> str:
    return f"""\
AuthType=auth/munge
AuthInfo=socket={at.munge_socket}
DbdHost={at.host}
DbdAddr=127.0.0.1
DbdPort={at.port + 1}
SlurmUser={at.user}
PidFile={at.folder}/slurmdbd.pid
LogFile={at.folder}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={at.port + 2}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
"""
