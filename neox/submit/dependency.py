"""`--dependency`: other jobs, whose end the first link waits for.

They are waited for however they end ("afterany"). "afterok" would be the wrong question: a job of
NeoX that saved and goes on in another link ends with 85, and a job whose "afterok" has become
impossible waits for ever (Slurm, LSF) or is taken away in silence (PBS, Flux). A job that was let
in too early because another failed misses its data or checkpoint within a minute, says so, and
halts its chain.
"""

from neox.sites.profile import Profile
from neox.submit.problem import Problem
from neox.submit.request import Request
from neox.submit.schedulers import scheduler
from neox.submit.schedulers.local import Local
from neox.submit.schedulers.scheduler import OutputError


def waits_for(site: Profile, request: Request) -> tuple[str, ...] | Problem:
    """The jobs' ids in the scheduler's own form, each once."""
    if not request.dependencies:
        return ()
    dialect = scheduler(site.scheduler.kind)
    if isinstance(dialect, Local):
        text = f"dependency: {site.name} has no scheduler to wait for jobs; leave --dependency out"
        return Problem(about="dependency", text=text)
    try:
        return tuple(dict.fromkeys(map(dialect.known_id, request.dependencies)))
    except OutputError as error:
        return Problem(about="dependency", text=f"dependency: {error}")
