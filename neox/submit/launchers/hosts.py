"""The hosts of a job that no scheduler chooses, as the launchers' own files name them."""

from neox.submit.launchers.parts import LaunchError, LaunchParts
from neox.submit.plan import LaunchFile
from neox.submit.words import Literal, ShellVar, Word


def check_hosts(parts: LaunchParts) -> None:
    """Raises LaunchError where fewer hosts are known than nodes are asked for."""
    if parts.site.scheduler.kind != "local":
        return  # the launcher finds the scheduler's allocation by itself
    if not parts.hosts:
        raise LaunchError(
            f"{parts.site.name} has no scheduler to choose hosts; name them in a hostfile "
            f'("node1 slots=8" on each line) and give hostfile=FILE'
        )
    if parts.nodes > len(parts.hosts):
        raise LaunchError(
            f"{parts.nodes} nodes, and the hostfile names {len(parts.hosts)}; "
            f"use --nodes {len(parts.hosts)}, or name more hosts"
        )


def hostfile(parts: LaunchParts, line: str) -> LaunchFile:
    """One line for each node: `line` with {host} and {slots} filled in."""
    slots = parts.ranks_per_node
    lines = (line.format(host=host, slots=slots) for host in parts.hosts[: parts.nodes])
    return LaunchFile(name="hostfile", content="".join(f"{text}\n" for text in lines))


def in_link(name: str) -> Word:
    """A launch file, where the job finds it."""
    return (ShellVar("link"), Literal(f"/{name}"))
