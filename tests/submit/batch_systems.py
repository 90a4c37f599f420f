"""PBS and Flux that are not there: their commands, as far as `neox-submit` and a job call them.

One program under all their names. A job is a process of this machine in $FAKE_QUEUE/NUMBER; what
the commands print has the form of the real ones (tests/submit/schedulers/answers).
"""

import sys
from pathlib import Path

NAMES = ("qsub", "qstat", "qdel", "flux")

PROGRAM = f"""#!{sys.executable} -IS
import os, signal, subprocess, sys, time
from pathlib import Path
name, words = Path(sys.argv[0]).name, sys.argv[1:]
queue = Path(os.environ["FAKE_QUEUE"])
F58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

def f58(number):
    letters = ""
    while number:
        number, rest = divmod(number, 58)
        letters = F58[rest] + letters
    return "f" + letters

def number_of(text):
    if not text.startswith("f"):
        return int(text.split(".")[0])
    number = 0
    for letter in text[1:]:
        number = number * 58 + F58.index(letter)
    return number

def note(job, what, text):
    (queue / str(job) / (what + ".new")).write_text(str(text))
    (queue / str(job) / (what + ".new")).rename(queue / str(job) / what)

def said(job, what):
    path = queue / str(job) / what
    return path.read_text() if path.exists() else None

def submit(script, after):
    job = 101 + len(list(queue.iterdir()))
    (queue / str(job)).mkdir()
    note(job, "after", " ".join(map(str, after)))
    if os.fork():
        return job
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    while any(said(other, "code") is None for other in after):
        time.sleep(0.05)
        if said(job, "code"):
            os._exit(0)
    nodes = queue / str(job) / "nodes"
    nodes.write_text("node1\\n")
    own = {{"PBS_JOBID": f"{{job}}.pbs01", "PBS_NODEFILE": str(nodes), "FAKE_JOB": str(job)}}
    child = subprocess.Popen(["bash", script], env={{**os.environ, **own}})
    note(job, "pid", child.pid)
    code = child.wait()
    note(job, "code", 128 - code if code < 0 else code)
    os._exit(0)

def state(job):
    if said(job, "code") is not None:
        return "ended"
    return "running" if said(job, "pid") else "held" if said(job, "after") else "waiting"

def end(job):
    if said(job, "pid"):
        os.kill(int(said(job, "pid")), signal.SIGTERM)
    elif said(job, "code") is None:
        note(job, "code", 271)

def known(jobs):
    return [job for job in jobs if (queue / str(job)).exists()]

if name == "qsub":
    after = [int(x) for x in words[1].split(":")[1:]] if words[0] == "-W" else []
    print(f"{{submit(words[-1], after)}}.pbs01")
elif name == "qstat":
    jobs, rc = [number_of(word) for word in words if not word.startswith("-")], 0
    for job in jobs:
        if not (queue / str(job)).exists():
            rc = 153
            print(f"qstat: Unknown Job Id {{job}}.pbs01", file=sys.stderr)
        elif state(job) == "ended" and "-x" not in words:
            rc = 35
            print(f"qstat: {{job}}.pbs01 Job has finished, use -x or -H to obtain historical job "
                  "information", file=sys.stderr)
        else:
            letter = {{"ended": "F", "running": "R", "held": "H", "waiting": "Q"}}[state(job)]
            print(f"Job Id: {{job}}.pbs01\\n    Job_Name = x\\n    job_state = {{letter}}")
            if letter == "F":
                print(f"    Exit_status = {{said(job, 'code')}}")
            if letter == "H":
                print(f"    depend = afterany:{{said(job, 'after')}}\\n    Hold_Types = s")
            print()
    sys.exit(rc)
elif name == "qdel":
    end(number_of(words[0]))
elif name == "flux" and words[0] == "batch":
    after = [number_of(w.split(":")[1]) for w in words[1:-1]]
    print(f58(submit(words[-1], after)))
elif name == "flux" and (words[0] == "jobs" or words[:2] == ["--parent", "jobs"]):
    fields = next(w for w in words if w.startswith("--format="))[len("--format="):]
    for job in (number_of(w) for w in words if w[0] in "f0123456789" and w[-1].isalnum()):
        if not (queue / str(job)).exists():
            print(f"flux-jobs: ERROR: JobID {{job}} unknown", file=sys.stderr)
            continue
        code = said(job, "code")
        result = "" if code is None else "COMPLETED" if code == "0" else "FAILED"
        word = {{"ended": "INACTIVE", "running": "RUN", "held": "DEPEND", "waiting": "SCHED"}}
        values = {{
            "id.dec": job,
            "state": word[state(job)],
            "result": result,
            "urgency": 16,
            "returncode": code or "",
            "exception.type": "",
            "exception.note": "",
        }}
        line = fields
        for field, text in values.items():
            line = line.replace("{{" + field + "}}", str(text))
        print(line)
elif name == "flux" and words[0] == "cancel":
    end(number_of(words[1]))
elif name == "flux" and words == ["getattr", "jobid"]:
    print(f58(int(os.environ["FAKE_JOB"])))
elif name == "flux" and words[:3] == ["job", "id", "--to=dec"]:
    print(number_of(words[3]))
elif name == "flux" and words == ["exec", "-r", "0", "hostname"]:
    print("node1")
elif name == "flux" and words[0] == "run":
    os.execvp("flux-run", ["flux-run", *words])
else:
    sys.exit(f"{{name}} {{words}}: not played here")
"""


def install(folder: Path) -> Path:
    """The folder with the commands, for the front of PATH."""
    programs = folder / "queue-commands"
    programs.mkdir()
    for name in NAMES:
        (programs / name).write_text(PROGRAM)
        (programs / name).chmod(0o755)
    (folder / "queue").mkdir()
    return programs
