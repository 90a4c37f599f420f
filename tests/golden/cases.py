"""The scripts that are kept as text: every site, one node and twelve, every way to ask for a job.

A case is `SITE/NODES-KIND`: `frontier/12-chain.job.sh`. What a kind asks for is typed, and read by
the real command line: another kind is one more line of KINDS. Sites whose own profile names a
container run every case inside it; `container` is for sites where a person brings one.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from neox.config.load import load
from neox.content import Shelf, shelf, shipped
from neox.sites.load import load_site
from neox.sites.profile import Profile
from neox.submit.cli_args import parse_run
from neox.submit.cli_run import request_of
from neox.submit.edge import Surroundings
from neox.submit.jobs import load_job
from neox.submit.plan import Plan
from neox.submit.planning import make_plan
from neox.submit.render import render
from neox.submit.request import Request

FOLDER = Path(__file__).resolve().parent
NOWHERE = Path("/proj/me")  # the person's folder; nothing is read from it
ONE_MACHINE = frozenset({"local"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is typed beside site, nodes and config, and which link's scripts are kept."""

    typed: Callable[[Profile], tuple[str, ...]] = lambda _: ()
    link: int = 1
    # site -> the profile that is asked for in its place; None: every site, as it is
    profiles: Mapping[str, str] | None = None
    # false: rank.sh and node.sh are those of `train`, with another number of the link
    keeps_rank: bool = True


def _profiler(profile: Profile) -> tuple[str, ...]:
    """The profiler of the site's GPUs: torch's own where it is neither NVIDIA's nor AMD's."""
    gpu = profile.node_types[0].gpu
    arch = gpu.arch if gpu else ""
    tool = "rocprof" if arch.startswith("gfx") else "torch" if arch.startswith("intel") else "nsys"
    return ("--profile", tool, "--profile-ranks", "one-per-node", "--profile-steps", "10:12")


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "train": Kind(),
        "chain": Kind(typed=lambda _: ("--chain", "2"), link=2, keeps_rank=False),
        "profile": Kind(typed=_profiler),
        "container": Kind(
            profiles={
                "frontier": "frontier-apptainer",
                "perlmutter": "perlmutter-shifter",
                "polaris": "polaris-apptainer",
                "slurm": "slurm-charliecloud",
            }
        ),
    }
)
ACCOUNTS = {
    "aurora": "datascience",
    "clariden": "a0123",
    "frontier": "abc123",
    "jean-zay": "abc@h100",
    "juwels-booster": "zam",
    "jupiter": "zam",
    "leonardo": "IscrB_NEOX",
    "lumi": "project_462000001",
    "marenostrum5": "ehpc123",
    "perlmutter": "m1234_g",
    "polaris": "datascience",
    "stability": "eleuther",
    "summit": "abc123",
    "tuolumne": "guests",
}
# where the default queue wants more nodes
QUEUES = {("aurora", 1): "capacity", ("aurora", 12): "capacity", ("polaris", 1): "capacity"}
# 2304 samples divide by the ranks of every case; 20B's own batch wants nodes of eight
BATCH = ("train_batch_size=2304", "train_micro_batch_size_per_gpu=4")
TWENTY = frozenset({("frontier", 12), ("lumi", 12)})
HOSTS = tuple(f"node{number}" for number in range(1, 13))
AROUND = Surroundings(
    environ={},
    cwd=NOWHERE,
    home=Path("/home/me"),
    user="me",
    hostname="login1",
    python="/home/me/neox/.venv/bin/python",
    cores=8,
    interactive=False,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    site: str
    nodes: int
    kind: str = "train"

    @property
    def name(self) -> str:
        return f"{self.site}/{self.nodes}-{self.kind}"

    @property
    def link(self) -> int:
        return KINDS[self.kind].link


def cases() -> Iterator[Case]:
    for entry in shelf("sites", environ={}, cwd=NOWHERE).entries():
        for nodes in (1,) if entry.name in ONE_MACHINE else (1, 12):
            for name, kind in KINDS.items():
                if kind.profiles is None or entry.name in kind.profiles:
                    yield Case(site=entry.name, nodes=nodes, kind=name)


def profile_of(site: str, kind: str = "train") -> Profile:
    folders = (FOLDER / "profiles", shipped("sites"))
    name = (KINDS[kind].profiles or {}).get(site, site)
    return load_site(name, Shelf(name="sites", folders=folders, base=NOWHERE))


def request_for(site: str, nodes: int, kind: str = "train") -> Request:
    """What a person typed, with the config and the hosts that would be read from files."""
    profile, account = profile_of(site, kind), ACCOUNTS.get(site)
    typed = ["--site", profile.name, "--nodes", str(nodes), "--time", "2:00:00"]
    typed += ["--account", account] if account else []
    typed += ["--queue", QUEUES[site, nodes]] if (site, nodes) in QUEUES else []
    typed += [*KINDS[kind].typed(profile), f"configs/{_config(site, nodes)}", *_batch(site, nodes)]
    request = request_of(parse_run(typed), ("neox-submit", *typed), AROUND)
    by_hand = profile.scheduler.kind == "local" and site not in ONE_MACHINE
    return dataclasses.replace(
        request,
        configs=(shipped("configs") / _config(site, nodes),),
        hosts=HOSTS if by_hand else (),
    )


def _config(site: str, nodes: int) -> str:
    return "20B.yml" if (site, nodes) in TWENTY else "pythia/160M.yml"


def _batch(site: str, nodes: int) -> tuple[str, ...]:
    return () if (site, nodes) in TWENTY else BATCH


@cache
def plan_for(site: str, nodes: int, kind: str = "train") -> Plan:
    """The plan of a shipped config on a shipped site; made once, because nothing changes it."""
    request = request_for(site, nodes, kind)
    job = load_job(request.job, shelf("jobs", environ={}, cwd=NOWHERE))
    given = load(request.configs, request.overrides, job.config)
    return make_plan(profile_of(site, kind), job, given, request)


def every_script(case: Case) -> dict[str, str]:
    """File name to text of this case, also of those that are not kept."""
    made = render(plan_for(case.site, case.nodes, case.kind), link=case.link)
    every = {f"{case.name}.job.sh": made.job, f"{case.name}.rank.sh": made.rank}
    return every | ({f"{case.name}.node.sh": made.node} if made.node else {})


def is_kept(case: Case, name: str) -> bool:
    return KINDS[case.kind].keeps_rank or name.endswith(".job.sh")


def scripts(case: Case) -> dict[str, str]:
    """File name to text of what is kept of this case."""
    return {name: text for name, text in every_script(case).items() if is_kept(case, name)}
