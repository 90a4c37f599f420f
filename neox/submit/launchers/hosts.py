"""The hosts of a job that no scheduler chooses, as the launchers' own files name them."""

from neox.submit.launchers.parts import LaunchError, LaunchParts
from neox.submit.plan import LaunchFile
from neox.submit.words import Literal, ShellVar, Word

CHOOSES_NODES = frozenset({"srun", "pals"})  # among those of the job, so some can be spare
READS_HOSTS = frozenset({"openmpi", "mpich", "intelmpi", "mvapich"})  # from a file of ours


def check_hosts(parts: LaunchParts) -> None:
    """Raises LaunchError where fewer hosts are known than nodes are asked for."""
    if parts.site.scheduler.kind != "local":
        return  # the launcher finds the scheduler's allocation by itself
    if not parts.hosts:
        raise LaunchError(
            f"{parts.site.name} has no scheduler to choose hosts; name them in a hostfile "
            f'("node1 slots=8" on each line) and give hostfile=FILE'
        )
    wanted = parts.nodes + parts.spare_nodes
    if wanted > len(parts.hosts):
        spare = f" with {parts.spare_nodes} spare ones" if parts.spare_nodes else ""
        raise LaunchError(
            f"{wanted} nodes{spare}, and the hostfile names {len(parts.hosts)}; "
            f"use --nodes {max(1, len(parts.hosts) - parts.spare_nodes)}, or name more hosts"
        )


def check_spare_nodes(parts: LaunchParts) -> None:
    """Raises LaunchError where ranks would run on every node of the allocation, bad ones too."""
    kind = parts.site.launcher.kind
    if (
        parts.spare_nodes
        and kind not in CHOOSES_NODES
        and not (kind in READS_HOSTS and parts.hosts)
    ):
        raise LaunchError(
            f"--spare-nodes {parts.spare_nodes}: {kind} on {parts.site.name} runs on every node of "
            "its allocation, so a bad one cannot be left out; leave --spare-nodes out"
        )


def hostfile(parts: LaunchParts, line: str) -> LaunchFile:
    """One line for each node: `line` with {host} and {slots} filled in."""
    slots = parts.ranks_per_node
    lines = (line.format(host=host, slots=slots) for host in parts.hosts[: parts.nodes])
    return LaunchFile(name="hostfile", content="".join(f"{text}\n" for text in lines))


def hosts_file(parts: LaunchParts) -> Word:
    """The link's file of hosts, or with spare nodes the one that job.sh writes."""
    return (ShellVar("used_hosts"),) if parts.spare_nodes else in_link("hostfile")


def chosen_line(parts: LaunchParts, line: str) -> str | None:
    """How job.sh prints each host that it chose, for printf; None where it chooses none."""
    if not parts.spare_nodes:
        return None
    return line.format(host="%s", slots=parts.ranks_per_node) + "\\n"


def in_link(name: str) -> Word:
    """A launch file, where the job finds it."""
    return (ShellVar("link"), Literal(f"/{name}"))
