"""Keeps a local Ray out of the reach of signals to this process's group.

`timeout N masksweep run` and job runners signal a whole group. Ray's processes would end at once, before the
trials that run on them have written their checkpoints.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def group_apart() -> Iterator[None]:
    """What is started within it gets a process group of its own; then this process is back in its old one.

    Nothing is done for a session's leader, which cannot change its group, nor in the foreground of a
    terminal, whose Ctrl-C has to arrive at any time: Ray's processes do not listen to that one.
    """
    before = os.getpgrp()
    if os.getsid(0) == os.getpid() or _in_foreground():
        yield
        return
    try:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, process_group=0) as first:
            os.setpgid(0, first.pid)  # a group needs a first member; we are in it when that one ends
        yield
    finally:
        with suppress(PermissionError):  # all others of the old group have ended in the meantime
            os.setpgid(0, before)


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
