"""What a worker holds between trials, against what it held after its first one."""

import subprocess
import sys
import textwrap

from runners.memory import DEVICE, HOST, MIB, MemoryWatch


class Process:
    """Memory as a test sets it: `kept` comes back only if it is asked for."""

    def __init__(self):
        self.host, self.kept, self.device, self.asked = 900 * MIB, 0, 0, 0

    def read(self):
        return {HOST: self.host + self.kept, DEVICE: self.device}

    def give_back(self):
        self.asked += 1
        self.kept = 0

    def watch(self):
        return MemoryWatch(self.read, give_back=self.give_back)


def test_the_first_look_is_the_baseline():
    """What the libraries and the data take is none of a trial's."""
    process = Process()
    watch = process.watch()
    assert watch.look() is None
    process.host += 256 * MIB
    assert watch.look() is None
    process.host += MIB
    assert watch.look() == "its host memory was 900 MiB after its first trial and is 1157 MiB now"


def test_memory_that_is_only_kept_for_later_is_no_leak():
    """What the allocator returns when asked does not count, and it is asked only where it matters."""
    process = Process()
    watch = process.watch()
    watch.look()
    process.kept = 100 * MIB
    assert (watch.look(), process.asked) == (None, 1)
    process.kept = 2000 * MIB
    assert (watch.look(), process.asked) == (None, 2)


def test_what_the_first_trial_kept_is_not_in_the_baseline():
    """A large first trial must not hide what leaks later."""
    process = Process()
    process.kept = 2000 * MIB
    watch = process.watch()
    watch.look()
    process.host += 300 * MIB
    assert watch.look() is not None


def test_device_memory_is_watched_more_closely():
    """Between trials nothing of a model is on the device."""
    process = Process()
    watch = process.watch()
    watch.look()
    process.device = 65 * MIB
    assert watch.look() == "its device memory was 0 MiB after its first trial and is 65 MiB now"


def test_this_process_is_measured():
    """A block that is held shows in full, and is gone once freed; in a process without other threads."""
    measured = """
        from runners.memory import give_back_memory, resident_bytes
        give_back_memory()
        before = resident_bytes()
        block = bytearray(b"x" * (96 << 20))
        print(resident_bytes() - before)
        del block
        give_back_memory()
        print(resident_bytes() - before)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(measured)], capture_output=True, text=True, check=True
    )
    held, left = map(int, told.stdout.split())
    assert 96 * MIB <= held < 112 * MIB
    assert left < 16 * MIB
