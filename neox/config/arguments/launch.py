"""How GPT-NeoX started jobs. `neox-submit` and the site's profile do that here."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_SITE = "neox-submit starts jobs the site's way"
_ACCOUNT = "give it to neox-submit: --account NAME"
_NODES = "give it to neox-submit: --nodes N"
_MASTER = "the job script finds its address and port"


@frozen
class Launch(Frozen):
    """Hosts and launchers."""

    num_gpus: int | None = argument(
        None, "Ranks on each node. Default: one per GPU.", unit="ranks per node"
    )
    hostfile: str | None = argument(
        None, "File of hosts, for sites without a scheduler; it must exist."
    )
    num_nodes: int = argument(-1, "Hosts to use.", status="chosen", note=_NODES)
    include: str | None = argument(None, "Hosts to use.", status="chosen", note=_SITE)
    exclude: str | None = argument(None, "Hosts to skip.", status="chosen", note=_SITE)
    launcher: Literal["pdsh", "openmpi", "mvapich", "slurm", "mpich", "jsrun", "msrun"] = argument(
        "pdsh", "What started the ranks.", status="chosen", note=_SITE
    )
    force_multi: bool = argument(
        False, "Start one host as if it were many.", status="chosen", note=_SITE
    )
    no_ssh_check: bool = argument(
        False, "Do not try ssh first.", status="chosen", note="no ssh is needed"
    )
    master_addr: str | None = argument(None, "Host of rank 0.", status="chosen", note=_MASTER)
    master_port: int = argument(29_500, "Its port.", status="chosen", note=_MASTER)
    account: str | None = argument(None, "Whom to charge.", status="chosen", note=_ACCOUNT)
    comment: str | None = argument(
        None,
        "Comment of the job.",
        status="chosen",
        note="give it to neox-submit: --directive comment=TEXT",
    )
    deepspeed_slurm: bool = argument(
        False, "Find ranks from Slurm's variables.", status="chosen", note=_SITE
    )
    deepspeed_mpi: bool = argument(
        False, "Find ranks from MPI's variables.", status="chosen", note=_SITE
    )
    user_script: str | None = argument(
        None, "Program that was started.", status="runtime", note="the job kind says what runs"
    )
    autotuning_run: Literal["tune", "run"] | None = argument(
        None, "What the autotuner does.", not_yet="autotuning is not built yet"
    )
