"""Writes docs/job-kinds.md from the job kind's dataclasses, as the site's reference is written.

python -m neox.submit.job_reference docs/job-kinds.md
"""

import sys
from pathlib import Path

from neox.sites.reference import rewrite
from neox.submit.job_kind import JobKind

if __name__ == "__main__":
    rewrite(Path(sys.argv[1]), JobKind)
