"""A machine that is not there: stand-ins for Python, launchers, scheduler and modules.

Each records what it was called with, so that a test can say what a script really did.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from neox.submit.plan import Plan
from neox.submit.render import Script, render

# Plays `python -P -m neox.run.cli train|end-link` and `python -P -c 'import neox'`.
PYTHON = f"""#!{sys.executable} -IS
import os, sys, time
env = os.environ
words = sys.argv[1:]
if words[:2] == ["-P", "-c"]:
    sys.exit(0)
if words[:3] == ["-P", "-m", "torch.distributed.run"]:
    import signal, subprocess
    options = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
    each, node = int(options["--nproc-per-node"]), int(options["--node-rank"])
    size = each * int(options["--nnodes"])
    ranks = [(node * each + local, local) for local in range(each)]
    started = [
        subprocess.Popen(
            [words[-1]],
            env={{**env, "RANK": str(rank), "LOCAL_RANK": str(local), "WORLD_SIZE": str(size)}},
        )
        for rank, local in ranks
    ]
    def end(*_):
        for process in started:
            process.terminate()
    signal.signal(signal.SIGTERM, end)
    sys.exit(max(process.wait() for process in started))
if words[:4] == ["-P", "-m", "neox.run.cli", "end-link"]:
    if "FAKE_NO_END" in env:
        sys.exit(126)  # "Python itself did not run": job.sh falls back on its own rules
    os.execv({sys.executable!r}, [{sys.executable!r}, *words])
state = env["FAKE_RUN"] + "/state/"
if words[3] == "preflight":
    answer = state + "preflight." + env["NEOX_JOB_ID"] + "/" + env["NEOX_NODE"]
    if env["NEOX_NODE"] in env.get("FAKE_SILENT", "").split():
        time.sleep(60)
    unfit = env["NEOX_NODE"] in env.get("FAKE_UNFIT", "").split()
    with open(answer + ".why" if unfit else answer, "w") as file:
        file.write("its GPU 3 is gone")
    sys.exit(1 if unfit else 0)
rank, job = env["RANK"], env["NEOX_JOB_ID"]
def note(name, data=""):
    with open(state + name, "w") as file:
        file.write(data)
def phase(name, until):
    note(f"phase.{{name}}.{{rank}}")
    if not str(until).startswith("/"):
        return time.sleep(float(until))
    limit = time.time() + 60
    while not os.path.exists(until) and time.time() < limit:
        time.sleep(0.02)
note("argv." + rank, "\\0".join(words))
note("env." + rank, "\\0".join(f"{{k}}={{v}}" for k, v in env.items()))
print("hello from the entry", flush=True)
phase("start", env.get("FAKE_START", "0"))
end, _, number = env.get("FAKE_END", "done").partition(" ")
if env.get("FAKE_RANK", rank) != rank:
    end = "stop"
if end == "stop":
    phase("step", 0)
    limit = time.time() + 20
    while not os.path.exists(state + "stop") and time.time() < limit:
        time.sleep(0.02)
    if not os.path.exists(state + "stop"):
        sys.exit(99)  # nobody asked
    phase("save", env.get("FAKE_SAVE", "0"))
    note("saved." + job)
elif end in ("done", "saved"):
    note("done" if end == "done" else "saved." + job)
elif end == "code":
    try:
        os.close(os.open(state + "failed." + job, os.O_CREAT | os.O_EXCL))
        note("failed." + job, '{{"code": %s, "rank": %s, "reason": "x"}}' % (number, rank))
    except FileExistsError:
        pass
    print("the last line", flush=True)
    sys.exit(int(number))
elif end in ("hang", "freeze"):
    import faulthandler, signal
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    note("heartbeat", env.get("FAKE_HEARTBEAT", "step 7 0"))
    phase("step", 0)
    def waits_for_its_peers():
        if end == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(60)
    waits_for_its_peers()
elif end == "die":
    os.kill(os.getpid(), int(number))
elif end == "exit":
    sys.exit(int(number))
phase("exit", env.get("FAKE_EXIT", "0"))
print("the last line", flush=True)
"""

# Plays what starts ranks: two of them. The others are ended when one fails, but not by Hydra.
LAUNCHER = """#!/bin/bash
case ${!#} in
*/rank.sh | */node.sh | preflight | *stage) ;;
*) # srun as the door of a container, before Python in job.sh
  while [[ $1 != "$FAKE_PYTHON" ]]; do shift; done
  exec "$@"
  ;;
esac
last=${*: -1} hosts=(${FAKE_HOSTS:-node1 node2}) kind=launch
[[ $last != *stage ]] || kind=$last
if [[ $last == preflight ]]; then # with FAKE_EACH unset, one rank on each node
  kind=preflight
  [[ -v FAKE_EACH ]] || FAKE_SIZE=${#hosts[@]}
fi
printf '%s\\0' "${0##*/}" "$@" >"$FAKE_RUN/state/$kind"
case ${0##*/} in
srun) names=(SLURM_PROCID SLURM_LOCALID SLURM_NTASKS) ;;
jsrun) names=(JSM_NAMESPACE_RANK JSM_NAMESPACE_LOCAL_RANK JSM_NAMESPACE_SIZE) ;;
mpirun) names=(OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_LOCAL_RANK OMPI_COMM_WORLD_SIZE) ;;
mpiexec) names=(PALS_RANKID PALS_LOCAL_RANKID PALS_SIZE) ;;
mpiexec.hydra) names=(PMI_RANK MPI_LOCALRANKID PMI_SIZE) ;;
flux) names=(FLUX_TASK_RANK FLUX_TASK_LOCAL_ID FLUX_JOB_SIZE) ;;
esac
trap 'kill -TERM "${pids[@]}"' TERM
trap 'kill -USR1 "${pids[@]}"' USR1 # srun and mpirun pass it on
size=${FAKE_SIZE:-2} failed=0 pids=()
for ((rank = 0; rank < size; rank++)); do
  who=("${names[0]}=$rank" "${names[1]}=$((rank % ${FAKE_EACH:-2}))" "${names[2]}=$size")
  if [[ $last == preflight ]]; then
    host=${hosts[rank / ${FAKE_EACH:-1}]}
    env "${who[@]}" SLURMD_NODENAME="$host" FAKE_NODE="$host" "${@: -2}" &
  elif [[ $last == *stage ]]; then
    env "${who[@]}" "${@: -2}" &
  else
    env "${who[@]}" "$last" &
  fi
  pids+=("$!")
done
left=$size
while ((left > 0)); do
  for index in "${!pids[@]}"; do
    kill -0 "${pids[index]}" 2>/dev/null && continue
    code=0
    wait "${pids[index]}" || code=$?
    ((failed)) || failed=$code
    unset "pids[index]"
    left=$((left - 1))
    [[ ${0##*/} == mpiexec.hydra ]] || ((failed == 0 || left == 0)) ||
      kill -TERM "${pids[@]}" 2>/dev/null
  done
  sleep 0.05
done
exit "$failed"
"""
LAUNCHERS = ("srun", "jsrun", "mpirun", "mpiexec", "mpiexec.hydra")
# Plays `pdsh -R exec ... /bin/bash NODE.SH reach %h %n` for the first hosts, and its ssh.
PDSH = """#!/bin/bash
printf '%s\\0' "${0##*/}" "$@" >"$FAKE_RUN/state/launch"
while [[ $1 != /bin/bash ]]; do shift; done
mapfile -t -n "${FAKE_NODES:-1}" hosts <"$WCOLL"
pids=() worst=0
for number in "${!hosts[@]}"; do
  words=("${@/#%h/${hosts[number]}}")
  words=("${words[@]/#%n/$number}")
  mkfifo "$FAKE_RUN/state/input.$number" # as pdsh holds it: it ends with pdsh alone
  "${words[@]//%%/%}" <"$FAKE_RUN/state/input.$number" &
  pids+=("$!")
done
for number in "${!hosts[@]}"; do exec {end}>"$FAKE_RUN/state/input.$number"; done
for pid in "${pids[@]}"; do
  wait "$pid" || worst=$?
done
exit "$worst"
"""
SSH = """#!/bin/bash
while [[ $1 != /bin/bash ]]; do shift; done
exec "$@"
"""
# Plays a container or a profiler, whose command stands before Python.
AROUND_PYTHON = """#!/bin/bash
printf '%s\\0' "${0##*/}" "$@" >"$FAKE_RUN/state/${0##*/}.${RANK-job}"
while [[ $1 != "$FAKE_PYTHON" ]]; do shift; done
exec "$@"
"""
CONTAINERS = ("apptainer", "ch-run", "shifter", "singularity")
PROFILERS = ("nsys", "rocprof", "rocprofv2", "rocprofv3")
SCONTROL = """#!/bin/bash
[[ $1 != update ]] || { echo "$*" >>"$FAKE_RUN/state/updates"; exit; }
[[ "$*" == "show hostnames $SLURM_JOB_NODELIST" ]] || exit 1
printf '%s\\n' ${FAKE_HOSTS:-node1 node2}
"""
# Plays what a job asks of Flux itself.
FLUX = """#!/bin/bash
case "$1 $2" in
"getattr jobid") echo f2PS ;;
"job id") [[ "$*" == "job id --to=dec f2PS" ]] && echo 4711 ;;
"exec -r") [[ "$*" == "exec -r 0 hostname" ]] && echo "${FAKE_HOSTS:-node1}" ;;
"hostlist "*) printf '%s\\n' ${FAKE_HOSTS:-node1 node2} ;;
"run "*) exec "${0%/*}/flux-run" "$@" ;;
"--parent jobs") echo "${FAKE_STATE-}"; exit "${FAKE_STATE_CODE:-0}" ;;
*) exit 64 ;;
esac
"""
UNAME = """#!/bin/bash
[[ "$*" != -n || -z ${FAKE_NODE-} ]] || { echo "$FAKE_NODE"; exit; }
exec /usr/bin/uname "$@"
"""
QUEUE = """#!/bin/bash
echo "${FAKE_STATE-}"
exit "${FAKE_STATE_CODE:-0}"
"""
MODULE = """() {
  echo "module $*" >>"$FAKE_RUN/state/modules"
  : >"$FAKE_RUN/state/phase.modules.0"
  sleep "${FAKE_MODULES:-0}"
  [[ $1 != load ]] || LOADEDMODULES=${LOADEDMODULES:+$LOADEDMODULES:}${2//gone/}/1.0
}"""


@dataclass
class Machine:
    """A folder with the stand-ins, and one run directory."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def state(self) -> Path:
        return self.run / "state"

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def submit(self, plan: Plan, link: int = 1) -> Script:
        """Write the scripts where the job finds them."""
        script = render(plan, link=link)
        folder = plan.run.root / "links" / str(link)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"job.sh": script.job, "rank.sh": script.rank}
        texts |= {"node.sh": script.node} if script.node else {}
        texts |= {file.name: file.content for file in plan.launch.files}
        for name, text in texts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o700)
        return script

    def start(
        self, link: int = 1, root: Path | None = None, **environ: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["/bin/bash", str((root or self.run) / "links" / str(link) / "job.sh")],
            env={**self.environ, **environ},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
        )

    def finish(self, link: int = 1, root: Path | None = None, **environ: str) -> tuple[int, str]:
        """Run the job to its end: its exit code and all it printed."""
        code, printed = ended(self.start(link, root, **environ))
        kept = (root or self.run) / "logs" / "4711.out"  # PBS: a job writes to its log itself
        return code, printed + (kept.read_text() if kept.exists() else "")

    def wait_for(self, name: str, seconds: float = 15) -> None:
        until((self.state / name).exists, f"{name} never appeared", seconds)


def ended(job: "subprocess.Popen[str]", seconds: float = 40) -> tuple[int, str]:
    try:
        printed, _ = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        job.send_signal(signal.SIGTERM)
        raise
    return job.returncode, printed


def until(condition, complaint: str, seconds: float = 15) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.02)


def descendants_of(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []  # it has just ended
    return [found for child in map(int, children) for found in (child, *descendants_of(child))]


def machine(folder: Path) -> Machine:
    made = Machine(folder)
    for name in ("state", "logs"):
        (made.run / name).mkdir(parents=True)
    programs = folder / "bin"
    programs.mkdir()
    texts = {"python": PYTHON, "scontrol": SCONTROL, "squeue": QUEUE, "bjobs": QUEUE}
    texts |= {"qstat": QUEUE, "flux": FLUX, "uname": UNAME}
    texts |= {"flux-run": LAUNCHER.replace("${0##*/}", "flux"), "pdsh": PDSH, "ssh": SSH}
    texts |= dict.fromkeys(LAUNCHERS, LAUNCHER)
    texts |= dict.fromkeys((*CONTAINERS, *PROFILERS), AROUND_PYTHON)
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    nodefile = folder / "pbs-nodes"
    nodefile.write_text("node1.hsn.example.org\nnode2.hsn.example.org\n")
    hostfile = folder / "lsf-hosts"
    hostfile.write_text("launch1\n" + "node1\n" * 4 + "node2\n" * 4)
    made.environ = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "FAKE_RUN": str(made.run),
        "FAKE_PYTHON": made.python,
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "LSB_JOBID": "4711",
        "PBS_JOBID": "4711.pbs01",
        "PBS_NODEFILE": str(nodefile),
        "LSB_DJOB_HOSTFILE": str(hostfile),
        "BASH_FUNC_module%%": MODULE,
    }
    return made
