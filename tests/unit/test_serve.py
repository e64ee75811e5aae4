"""What the service asks of the system when it starts."""

import subprocess
import sys

PROGRAM = """
import resource
from sweeps.cli.serve import DESCRIPTORS, _descriptors

resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
got = _descriptors()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (got, {hard}), got
print(got == min(DESCRIPTORS, {hard}))
"""


def test_it_takes_as_many_descriptors_as_it_may_have():
    """Shells give 256, or 1,024: fewer than the event streams that there may be."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(hard=3000)], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
