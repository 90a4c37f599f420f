"""The configuration of a pretended cluster: four nodes like Frontier's and LUMI's, two of a DGX.

Frontier and LUMI have the same node (one 64-core EPYC, eight GCDs, the first core of each L3 kept
for the system), so one cluster with both centres' partitions and accounts serves for either's
scripts. A DGX H100 has two Xeons of 56 cores, four GPUs beside each, and keeps no core for itself.
"""

from dataclasses import dataclass
from pathlib import Path

NODES = 4  # in the partition `batch`
# in Slurm's own numbering (2c, 2c+1) the threads of cores 0, 8, 16 ...
KEPT_FREE = ",".join(f"{16 * i},{16 * i + 1}" for i in range(8))
FRONTIER_GPUS = ("48-55", "56-63", "16-23", "24-31", "0-7", "8-15", "32-39", "40-47")
FRONTIER_NODE = (
    "CPUs=128 Boards=1 SocketsPerBoard=8 CoresPerSocket=8 ThreadsPerCore=2 RealMemory=512000 "
    f"TmpDisk=0 Gres=gpu:8 Feature=gpu,nvme CpuSpecList={KEPT_FREE}"
)
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
    port: int  # the first of PORTS

    @property
    def first_job(self) -> int:
        """Jobs of two beds on one machine must not meet at one port, which the id decides."""
        return 1 + self.port // PORTS % 60 * 200  # ids count modulo 12,000 there

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.folder / "munge.sock"

    @property
    def affinity(self) -> Path:
        return self.folder / "fake_affinity.so"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Nodes that are alike."""

    names: tuple[str, ...]
    hardware: str  # as slurm.conf says it
    topology: str  # as hwloc is told to pretend it: a core's second thread is core + cores
    gpu_cores: tuple[str, ...]

    @property
    def listed(self) -> str:
        return ",".join(self.names)


SHAPES = (
    Shape(
        names=tuple(f"n{i}" for i in range(1, NODES + 1)),
        hardware=FRONTIER_NODE,
        topology="pack:1 numa:4 l3:2 core:8 pu:2(indexes=2*64:64*1)",
        gpu_cores=FRONTIER_GPUS,
    ),
    Shape(
        names=("d1", "d2"),
        hardware="CPUs=224 Boards=1 SocketsPerBoard=2 CoresPerSocket=56 ThreadsPerCore=2 "
        "RealMemory=2000000 TmpDisk=0 Gres=gpu:8 Feature=gpu",
        topology="pack:2 numa:1 l3:1 core:56 pu:2(indexes=2*112:112*1)",
        gpu_cores=("0-55",) * 4 + ("56-111",) * 4,
    ),
)
PORTS = 3 + sum(len(shape.names) for shape in SHAPES)


def node_names() -> list[str]:
    return [name for shape in SHAPES for name in shape.names]


def slurm_conf(at: Places) -> str:
    each = [(name, shape.hardware) for shape in SHAPES for name in shape.names]
    nodes = [
        f"NodeName={name} NodeHostname={at.host} NodeAddr=127.0.1.{i} Port={at.port + 2 + i} {what}"
        for i, (name, what) in enumerate(each, 1)
    ]
    usual, dgx = SHAPES
    partitions = [
        f"PartitionName={name} Nodes={usual.listed} DefaultTime=00:10:00 State=UP {rest}"
        for name, _, rest in (line.partition(" ") for line in PARTITIONS)
    ]
    partitions.append(f"PartitionName=dgx Nodes={dgx.listed} OverSubscribe=EXCLUSIVE State=UP")
    accounting = f"""\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={at.port + 1}
AccountingStoragePass={at.munge_socket}
AccountingStorageEnforce=associations,limits,qos
"""
    return "".join([_common(at), accounting, *(f"{line}\n" for line in (*nodes, *partitions))])


def cloud_conf(at: Places, nodes: int) -> str:
    """A controller alone, with a whole machine of nodes that the cloud has not started yet."""
    return f"""\
{_common(at)}\
PrivateData=cloud
ResumeProgram=/bin/true
SuspendProgram=/bin/true
SuspendTime=300
MaxNodeCount={nodes + 10}
NodeName=c[00001-{nodes:05}] {FRONTIER_NODE} State=CLOUD
PartitionName=batch Default=YES Nodes=c[00001-{nodes:05}] MaxTime=1-00:00:00 State=UP
"""


def _common(at: Places) -> str:
    d = at.folder
    return f"""\
ClusterName=bed
SlurmctldHost={at.host}(127.0.0.1)
SlurmctldPort={at.port}
FirstJobId={at.first_job}
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
"""


def gres_conf(at: Places) -> str:
    lines = [
        f"NodeName={shape.listed} Name=gpu File={at.folder}/dev/gpu{gpu} Cores={cores} "
        "Flags=amd_gpu_env"
        for shape in SHAPES
        for gpu, cores in enumerate(shape.gpu_cores)
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
