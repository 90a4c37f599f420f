"""The scripts that are kept as text: every site, one node and twelve, a first and a second link."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neox.config.load import load
from neox.content import shelf, shipped
from neox.sites.load import load_site
from neox.submit.jobs import load_job
from neox.submit.plan import Plan
from neox.submit.planning import make_plan
from neox.submit.render import render
from neox.submit.request import Request

FOLDER = Path(__file__).resolve().parent
NOWHERE = Path("/home/me/work")  # the person's folder; nothing is read from it
ONE_MACHINE = frozenset({"local"})
ACCOUNTS = {
    "clariden": "a0123",
    "frontier": "abc123",
    "jean-zay": "abc@h100",
    "juwels-booster": "zam",
    "jupiter": "zam",
    "leonardo": "IscrB_NEOX",
    "lumi": "project_462000001",
    "marenostrum5": "ehpc123",
    "perlmutter": "m1234_g",
    "stability": "eleuther",
    "summit": "abc123",
}
# where a folder of /scratch would be refused, because a job's end wipes it
OUTPUTS = {"aws-parallelcluster": "/fsx/me/runs"}
# 2304 samples divide by the ranks of every case; 20B's own batch wants nodes of eight
BATCH = ("train_batch_size=2304", "train_micro_batch_size_per_gpu=4")
TWENTY = frozenset({("frontier", 12), ("lumi", 12)})


@dataclass(frozen=True, kw_only=True)
class Case:
    site: str
    nodes: int
    link: int

    @property
    def name(self) -> str:
        return f"{self.site}-{self.nodes}-link{self.link}"


def cases() -> Iterator[Case]:
    for entry in shelf("sites", environ={}, cwd=NOWHERE).entries():
        site, counts = entry.name, (1,) if entry.name in ONE_MACHINE else (1, 12)
        yield from (Case(site=site, nodes=nodes, link=1) for nodes in counts)
        yield Case(site=site, nodes=counts[-1], link=2)


def request_for(
    site: str, nodes: int, config: Path, overrides: tuple[str, ...] = (), *, chain: int = 1
) -> Request:
    """What a person typed."""
    account = ACCOUNTS.get(site)
    typed = ["--site", site, "--nodes", str(nodes), "--time", "2:00:00"]
    typed += ["--account", account] if account else []
    typed += ["--chain", str(chain)] if chain > 1 else []
    return Request(
        site=site,
        job="train",
        configs=(config,),
        overrides=overrides,
        nodes=nodes,
        seconds=7200,
        account=account,
        chain=chain if chain > 1 else None,
        python="/proj/neox/.venv/bin/python",
        output=Path(OUTPUTS.get(site, "/scratch/me/runs")),
        user="me",
        cwd=NOWHERE,
        home=Path("/home/me"),
        submit_python="/home/me/neox/.venv/bin/python",
        machine_cores=8,
        hosts=tuple(f"node{number}" for number in range(1, 13)) if site == "openmpi" else (),
        argv=("neox-submit", *typed, f"configs/{config.name}", *overrides),
    )


def plan_for(site: str, nodes: int, *, chain: int = 1) -> Plan:
    """The plan of a shipped config on a shipped site."""
    big = (site, nodes) in TWENTY
    overrides = () if big else BATCH
    file = shipped("configs") / ("20B.yml" if big else "pythia/160M.yml")
    profile = load_site(site, shelf("sites", environ={}, cwd=NOWHERE))
    job = load_job("train", shelf("jobs", environ={}, cwd=NOWHERE))
    request = request_for(site, nodes, file, overrides, chain=chain)
    return make_plan(profile, job, load((file,), overrides), request)


def scripts(case: Case) -> dict[str, str]:
    """File name to text of this case."""
    made = render(plan_for(case.site, case.nodes, chain=case.link), link=case.link)
    return {f"{case.name}.job.sh": made.job, f"{case.name}.rank.sh": made.rank}
