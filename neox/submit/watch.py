"""How long rank 0 may be silent before job.sh takes it for a hang.

Each phase has a limit of its own. A step is given 20 times what the last one took, at least ten
minutes. Start-up and evaluations may last as long as a rank waits for its peers in a collective
(half an hour, run/processes.py): index maps are made, or kernels compiled, in that time. A save has
ten times its estimate, if that is more.
"""

import math

from neox.submit.plan import Watch
from neox.submit.walltime import Pace, startup

COLLECTIVE_SECONDS = 1800
SHORTEST_STEP_LIMIT = 600


def watch_limits(nodes: int, pace: Pace) -> Watch:
    """From the estimates of the plan, where there are any."""
    save = max(COLLECTIVE_SECONDS, math.ceil(10 * pace.save_seconds))
    steps = math.ceil(Watch.steps * pace.step_seconds)
    return Watch(
        start=save + 10 * startup(nodes) + steps,  # a restore takes no longer than a save
        step=SHORTEST_STEP_LIMIT,
        save=save,
        evaluate=max(COLLECTIVE_SECONDS, steps),
    )
