import os
import signal
import subprocess
import sys

import pytest

from runners.detached import own_sessions
from runners.interrupts import Interrupts


class Asked:
    """Counts what the signals asked for."""

    def __init__(self):
        self.calls = []

    def first(self):
        self.calls.append("first")

    def again(self):
        self.calls.append("again")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_gently_first_and_at_once_when_repeated(signum):
    """The first is answered and the process goes on; the second one raises KeyboardInterrupt."""
    asked = Asked()
    with Interrupts() as interrupts:
        interrupts.listen(asked.first, asked.again)
        signal.raise_signal(signum)
        assert asked.calls == ["first"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signum)
    assert asked.calls == ["first", "again"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_at_once_what_has_nothing_to_save(signum):
    """Before there is a sweep to pause, and after it was let go."""
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signum)
        interrupts.listen(lambda: None, lambda: None)
        interrupts.let_go()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signum)


def test_a_signal_disturbs_nothing_once_all_is_saved():
    """An impatient Ctrl-C while Ray shuts down has nothing to stop any more."""
    asked = Asked()
    with Interrupts() as interrupts:
        interrupts.listen(asked.first, asked.again)
        signal.raise_signal(signal.SIGINT)
        interrupts.ignore()
        signal.raise_signal(signal.SIGINT)
    assert asked.calls == ["first"]


def start(signals):
    """How far a start comes in which these signals arrive, and that KeyboardInterrupt is raised from it."""
    reached = []
    try:
        with Interrupts() as interrupts, interrupts.starting():
            for signum in signals:
                signal.raise_signal(signum)
                reached.append(signum)
    except KeyboardInterrupt:
        return reached
    raise AssertionError


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ray_starts_before_a_signal_ends_the_process(signum):
    """One that comes in the middle waits for the end of the start."""
    assert start([signum]) == [signum]


def test_a_second_ctrl_c_does_not_wait_for_a_start_that_hangs():
    """Whoever asks twice means it."""
    assert start([signal.SIGINT, signal.SIGINT]) == [signal.SIGINT]


def test_waiting_for_a_locked_store_can_be_given_up():
    """The last write of a sweep is not disturbed, but neither is it waited for against the user's will."""
    with Interrupts() as interrupts:
        interrupts.ignore()
        interrupts.nap(0.0)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.nap(60.0)


def test_handlers_of_others_are_replaced_and_come_back():
    """Ray sets its own for SIGTERM as it starts; whoever called the driver finds theirs again."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asked = Asked()
    try:
        with Interrupts() as interrupts:
            with interrupts.starting():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            interrupts.listen(asked.first, asked.again)
            signal.raise_signal(signal.SIGTERM)
        assert asked.calls == ["first"]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_hang_up_stays_ignored_under_nohup():
    """Who started the process with SIGHUP ignored wants it to outlive the terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def session_of_a_child():
    code = "import os; print(os.getsid(0) == os.getpid())"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=os.getpid).stdout


def test_what_ray_starts_leads_its_own_session():
    """Within the block, and for what is started outside nothing changes."""
    with own_sessions():
        assert session_of_a_child() == "True\n"
    assert session_of_a_child() == "False\n"
