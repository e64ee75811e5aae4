"""Ray's processes in sessions of their own, out of the reach of what ends the driver's process group.

A closed terminal, `timeout` and a service manager send their signal to the whole group. Ray's would die of
it at once, and with them the checkpoint for which the driver wants to wait.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_detaching = False


def _leave_the_session() -> None:
    if _detaching:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # it waits in the driver only


os.register_at_fork(after_in_child=_leave_the_session)


@contextmanager
def own_sessions() -> Iterator[None]:
    """Within it each process that Ray starts leads a session.

    It works for whatever is started with a `preexec_fn`, as Ray's processes are; others are not forked in
    Python's sight. Their end with the driver's death is the kernel's doing, and stays.
    """
    global _detaching  # noqa: PLW0603 - a fork handler cannot be taken back, only told
    _detaching = True
    try:
        yield
    finally:
        _detaching = False
