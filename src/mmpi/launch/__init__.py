# SPDX-License-Identifier: BSD-3-Clause
"""Starting parallel jobs: `mmpi run`, and the same for programs that start jobs themselves.

    plan = mmpi.launch.plan(["prog.py", "argument"], n=4)      # what would be done; str(plan) is the command line
    job = mmpi.launch.start(plan, stdout=subprocess.PIPE)      # a started job, much like a subprocess.Popen
    status = job.wait(timeout=60)                              # or job.kill()
"""

from .errors import LaunchError
from .plans import Part, Plan, explain, plan
from .supervise import Job, start

__all__ = ["Job", "LaunchError", "Part", "Plan", "explain", "plan", "start"]
