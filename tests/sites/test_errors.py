"""Profiles that are wrong: every mistake with its file and line, all at once."""

from pathlib import Path

import pytest

from neox.sites.problems import ProfileErrors
from tests.sites.shelf_of import SMALL, load_text

GPU = """
[node.gpu]
kind        = "H100"
arch        = "sm_90"
memory_gb   = 80
peak_tflops = { bf16 = 989 }
cores       = ["0-3", "4-7"]
"""


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ProfileErrors) as caught:
        load_text(folder, text)
    return [str(problem).removeprefix("./sites/") for problem in caught.value.problems]


def changed(old: str, new: str, text: str = SMALL) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


CASES = {
    "unknown key": (
        changed("cores = 8", "coers = 8"),
        "mine.toml:14: unknown key 'coers' in [node]; did you mean cores?",
    ),
    "unknown table": (
        SMALL + "[launchre]\nx = 1\n",
        "mine.toml:22: unknown key 'launchre'; did you mean launcher?",
    ),
    "wrong type": (
        changed("cores = 8", 'cores = "8"'),
        'mine.toml:14: node.cores is a whole number, not "8"',
    ),
    "true is no number": (
        changed("cores = 8", "cores = true"),
        "mine.toml:14: node.cores is a whole number, not true",
    ),
    "a number is no list": (
        changed("cores = 8", "cores = 8\nnuma = 3"),
        "mine.toml:15: node.numa is a list in [ ], not 3",
    ),
    "not a choice": (
        changed('"srun"', '"srunn"'),
        "mine.toml:9: launcher.kind: 'srunn' is not a choice; did you mean srun?",
    ),
    "missing key": (
        changed('master  = "first-host"', ""),
        "mine.toml:8: `master` is missing in [launcher]",
    ),
    "missing table": (
        changed('[python]\nkind = "submitting"', ""),
        "mine.toml: `python` is missing",
    ),
    "missing schema": (
        changed("schema = 1", ""),
        "mine.toml:1: `schema = 1` is missing; write it first",
    ),
    "another schema": (
        changed("schema = 1", "schema = 2"),
        "mine.toml:1: schema 2 is unknown; this NeoX reads 1",
    ),
    "not TOML": (changed("cores = 8", "cores = "), "mine.toml:14: not TOML: Invalid value"),
    "time as a number": (
        changed('"2:00:00"', "7200"),
        'mine.toml:18: queues.batch.bins[0].time is a time in quotes, such as "2:00:00", not 7200',
    ),
    "no time": (
        changed('"2:00:00"', '"soon"'),
        "mine.toml:18: queues.batch.bins[0].time: 'soon' is not a time",
    ),
    "open bin": (
        changed('"1-4"', '"4-"'),
        'mine.toml:18: queues.batch.bins[0].nodes: a bin has an upper end, such as "4-103"',
    ),
    "overlapping bins": (
        changed(" }]", ' }, { nodes = "4-9", time = "3:00:00" }]'),
        "mine.toml:18: queues.batch.bins: 1-4 and 4-9 overlap or are out of order",
    ),
    "default beyond a bin": (
        changed("bins = ", 'default_time = "3:00:00"\nbins = '),
        "mine.toml:18: queues.batch.default_time: 3:00:00 exceeds the 2:00:00 of a bin",
    ),
    "default beyond the shorter bin": (
        changed("bins = ", 'default_time = "3:00:00"\nbins = ').replace(
            " }]", ' }, { nodes = "5-9", time = "6:00:00" }]'
        ),
        "mine.toml:18: queues.batch.default_time: 3:00:00 exceeds the 2:00:00 of a bin",
    ),
    "a packed Python": (
        changed('"submitting"', '"packed"\npath = "/x.tar"'),
        "mine.toml:21: python.kind: nothing unpacks a Python on the nodes yet",
    ),
    "two defaults": (
        changed('name = "batch"', 'name = "batch"\ndefault = true')
        + '[[queues]]\nname = "b"\ndefault = true\nbins = []\n',
        "mine.toml:25: queues.b.default: batch, b are the default; mark exactly one",
    ),
    "no default": (
        SMALL + '[[queues]]\nname = "b"\nbins = []\n',
        "none is the default; mark exactly one with default = true",
    ),
    "two queues of a name": (
        SMALL + '[[queues]]\nname = "batch"\ndefault = true\nbins = []\n',
        "queues.batch: the name is taken twice",
    ),
    "unknown node type": (
        changed('name = "batch"', 'name = "batch"\nnode_type = "big"'),
        "mine.toml:18: queues.batch.node_type: 'big'; there are: default",
    ),
    "reserved outside": (
        changed("cores = 8", "cores = 8\nreserved = [0, 8]"),
        "mine.toml:15: node.reserved: cores 8 are outside the node; it has 0-7",
    ),
    "domains overlap": (
        changed("cores = 8", 'cores = 8\nnuma = ["0-4", "4-7"]'),
        "mine.toml:15: node.numa: cores 4 are in two domains",
    ),
    "domains leave cores": (
        changed("cores = 8", 'cores = 8\nnuma = ["0-3", "4-6"]'),
        "mine.toml:15: node.numa: cores 7 are in no domain",
    ),
    "GPU outside": (
        SMALL + GPU.replace('"4-7"', '"4-8"'),
        "mine.toml:28: node.gpu.cores: cores 8 are outside the node; it has 0-7",
    ),
    "GPUs overlap": (
        SMALL + GPU.replace('"4-7"', '"3-7"'),
        "mine.toml:28: node.gpu.cores: GPU 0 and 1 overlap on 3",
    ),
    "unknown island": (
        SMALL + GPU + "islands = [[0, 1, 2]]\n",
        "mine.toml:29: node.gpu.islands: there is no GPU 2; they are 0 to 1",
    ),
    "threads beyond smt": (
        changed("cores = 8", "cores = 8\nthreads_per_core = 2"),
        "mine.toml:15: node.threads_per_core: is 1 to smt = 1",
    ),
    "stated without cores": (
        changed("cores = 8", "smt = 2"),
        "mine.toml:13: node.cores: a stated node has at least 1 core",
    ),
    "binding of another launcher": (
        changed('"cores"', '"resource-set"'),
        "mine.toml:10: launcher.binding: 'resource-set' is for jsrun",
    ),
    "unknown placeholder": (
        SMALL + '[env]\nX = "{jobid}"\n',
        "mine.toml:23: env.X: placeholder {jobid} is not known here; did you mean job_id?",
    ),
    "placeholder too early": (
        SMALL + '[storage]\nrun = { path = "/x/{job_id}" }\n',
        "mine.toml:23: storage.run.path: placeholder {job_id} is not known here",
    ),
    "command substitution": (
        SMALL + '[env]\nX = "$(date)"\n',
        "mine.toml:23: env.X: '$(' is shell",
    ),
    "backtick": (SMALL + '[env]\nX = "`date`"\n', "mine.toml:23: env.X: '`' is shell"),
    "semicolon": (
        SMALL + '[modules]\nload = ["a", "b; rm"]\n',
        "mine.toml:23: modules.load[1]: ';' is shell",
    ),
    "newline": (SMALL + '[env]\nX = "a\\nb"\n', "mine.toml:23: env.X: '\\n' is shell"),
    "variable in a value": (SMALL + '[env]\nX = "$HOME"\n', "mine.toml:23: env.X: '$' is shell"),
    "variable within a path": (
        SMALL + '[modules]\nprepend = { PATH = ["$A/bin"] }\n',
        "mine.toml:23: modules.prepend.PATH[0]: '$' is shell",
    ),
    "no variable name": (
        SMALL + '[env]\n"A B" = "1"\n',
        "env: 'A B' is no name of an environment variable",
    ),
    "retired without a date": (
        SMALL + "[policy]\nsubmit = false\n",
        "mine.toml:22: policy: submit = false says since when (`since`) and why (`reason`)",
    ),
    "a venv without a path": (
        changed('"submitting"', '"venv"'),
        'python.path: is needed with kind = "venv"',
    ),
    "the master of another scheduler": (
        changed('"slurm"', '"pbs"').replace('"srun"', '"openmpi"'),
        "launcher.master: 'first-host' asks slurm, and this is pbs",
    ),
    "a launcher of another scheduler": (
        changed('"srun"', '"pals"').replace('"cores"', '"depth"'),
        "mine.toml:9: launcher.kind: 'pals' finds its nodes with scheduler.kind = \"pbs\" alone",
    ),
    "a launcher that hides no GPU": (
        changed('"srun"', '"openmpi"\ngpu_visibility = "one"'),
        'mine.toml:10: launcher.gpu_visibility: openmpi hides no GPU from a rank: write "all"',
    ),
    "a chunk without PBS": (
        changed('"slurm"', '"slurm"\nchunk   = ["ngpus={gpus}"]'),
        "mine.toml:7: scheduler.chunk: is of PBS, and this is slurm",
    ),
    "a requeue that Flux does not do": (
        changed('"slurm"', '"flux"')
        .replace("first-host", "hostname-ip")
        .replace("srun", "openmpi")
        .replace("title", "requeue = true\ntitle"),
        "requeue: Flux starts no job again by itself",
    ),
    "a warning that PBS does not give": (
        changed('"slurm"', '"pbs"').replace("first-host", "hostname-ip").replace("srun", "openmpi")
        + '[signal]\nhow = "scheduler"\n',
        "signal.how: pbs gives a script no warning of its end",
    ),
    "a fact about nothing": (
        SMALL + '[facts]\n"node.corse" = { kind="derived", source="x", read="2026-01-01" }\n',
        "mine.toml:23: facts.node.corse: there is no value; did you mean node.cores?",
    ),
    "a fact without a source": (
        SMALL + '[facts]\n"node" = { kind = "official" }\n',
        'mine.toml:23: facts.node: a fact of kind "official" has a `source` and a `read` date',
    ),
    "a fact of no day": (
        SMALL + '[facts]\n"node" = { kind="user", source="x", read="2026-02-30" }\n',
        "mine.toml:23: facts.node: read = '2026-02-30' is not a date",
    ),
    "unknown without a question": (
        SMALL + '[facts]\n"node" = { kind = "unknown" }\n',
        "mine.toml:23: facts.node: an unknown fact has a `question`",
    ),
    "remove nothing": (
        'schema = 1\nextends = "slurm"\nremove = ["env.NOPE"]\n',
        "mine.toml:3: nothing to remove: 'env.NOPE' is not in",
    ),
    "remove alone": (
        changed("schema = 1", 'schema = 1\nremove = ["env.A"]'),
        "mine.toml:2: `remove` without `extends` has nothing to remove from",
    ),
    "bad regular expression": (
        SMALL + '[account]\npattern = "("\n',
        "mine.toml:23: account.pattern: not a regular expression",
    ),
    "cores of this machine": (
        changed("cores = 8", 'anatomy = "this-machine"\ncores = 8'),
        "mine.toml:15: node.cores: is this machine's own",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_has_its_line(case: str, tmp_path: Path) -> None:
    text, expected = CASES[case]
    found = problems(tmp_path, text.lstrip("\n"))
    assert any(problem.startswith(expected) or expected in problem for problem in found), found
    assert len(found) == 1, found


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("cores = 8", "coers = 8").replace('"srun"', '"sran"').replace("1-4", "x")
    text += '[env]\nX = "$(x)"\nY = 3\n'
    lines = [problem.split(":")[1] for problem in problems(tmp_path, text.lstrip("\n"))]
    assert lines == ["9", "14", "18", "23", "24"]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites/mine.toml").write_bytes(b"\xff\xfe\x00")
    from neox.content import shelf
    from neox.sites.load import load_site

    with pytest.raises(ProfileErrors, match=r"sites/mine.toml: is not UTF-8 text"):
        load_site("mine", shelf("sites", environ={}, cwd=tmp_path))
