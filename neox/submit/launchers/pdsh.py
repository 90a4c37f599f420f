"""pdsh: an ssh to each node, over which a shell gets node.sh and starts that node's ranks.

pdsh forwards neither variables nor signals: job.sh writes the variables before the script, and the
nodes look for files in the run directory. Its fan-out is 32 unless told; these commands last as
long as the job, so all nodes must be in it.
"""

from neox.submit.launchers.hosts import check_hosts
from neox.submit.launchers.parts import LaunchParts, forwarded, program, site_flags, words
from neox.submit.plan import LaunchFile, LaunchPlan, NodeScript
from neox.submit.words import Literal, ShellVar, literal

HOSTS = "hosts"


def launch(parts: LaunchParts) -> LaunchPlan:
    """Raises LaunchError where fewer hosts are known than nodes are asked for."""
    check_hosts(parts)
    names = "".join(f"{host}\n" for host in parts.hosts[: parts.nodes])
    named = (Literal("WCOLL="), ShellVar("link"), Literal(f"/{HOSTS}"))  # the file pdsh reads
    # exec: the command runs here, once for each host, %h of number %n; -S keeps the worst code,
    # -N leaves the output as it is
    options = ("-R", "exec", "-S", "-N", "-f", str(parts.nodes))
    script = (ShellVar("link_for_pdsh"), Literal("/node.sh"))
    return LaunchPlan(
        argv=(
            *words(("env",)),
            named,
            *words((program(parts.site), *options, *site_flags(parts), *parts.extra)),
            *(literal("/bin/bash"), script, *words(("reach", "%h", "%n"))),
        ),
        files=(LaunchFile(name=HOSTS, content=names),),
        forward=forwarded(parts),
        rank_variable="RANK",
        local_rank_variable="LOCAL_RANK",
        size_variable="WORLD_SIZE",
        ends_together=False,
        node=NodeScript(starts="ranks", number="1", over_ssh=True),
    )
