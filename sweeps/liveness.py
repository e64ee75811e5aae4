"""Whether the driver that holds a sweep still lives."""

import os
import socket

from sweeps.records import Driver

STALE_AFTER_S = 30.0
"""A driver on another machine counts as dead when nothing was heard of it for so long."""


def is_dead(driver: Driver) -> bool:
    """Whether a driver ran on this machine and is seen to be gone: it need not be waited for."""
    return driver.host == socket.gethostname() and not _alive(driver.pid)


def _alive(pid: int) -> bool:
    """Whether a process other than this one has that id."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
