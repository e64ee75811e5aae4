"""A driver outlives its Ray, whatever its threads do meanwhile."""

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow  # starts Ray

LEAVES = """
    import os, threading
    from contextlib import nullcontext
    from runners.cluster import ray_cluster

    rubbish, busy, done = [], threading.Event(), threading.Event()

    def litter():
        # cycles with references to Ray's objects, and enough beside them that they are collected all the time
        while not done.is_set():
            lost = [rubbish.pop()]
            lost.append(lost)
            beside = [[] for _ in range(5000)]
            busy.set()

    with ray_cluster(None, nullcontext()):
        import ray
        rubbish += [ray.put(number) for number in range(20_000)]
        thread = threading.Thread(target=litter, daemon=True)
        thread.start()
        busy.wait()
    done.set()
    thread.join()
    print("goes on,", "with" if rubbish else "without", "rubbish left", flush=True)
    os._exit(0)
"""


def test_rubbish_of_another_thread_does_not_end_the_process_as_it_leaves_ray():
    """Ray exits where a reference to one of its objects is collected while it shuts down."""
    code = textwrap.dedent(LEAVES)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "goes on, with rubbish left\n"), ended.stderr
