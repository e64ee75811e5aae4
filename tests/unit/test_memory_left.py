"""What Linux says of memory, in files of the test's."""

import pytest

from runners.memory_left import memory_left

GB = 1024**3


@pytest.fixture
def system(tmp_path):
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    (cgroups / "memory").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n")
    return proc, cgroups


def test_a_machine_without_groups_has_what_is_available(system):
    assert memory_left(*system) == 8 * GB


def test_a_container_has_what_its_group_may_still_take(system):
    """In both forms that Linux has; a group without a limit says nothing."""
    _, cgroups = system
    (cgroups / "memory.max").write_text("max\n")
    assert memory_left(*system) == 8 * GB
    (cgroups / "memory.max").write_text(f"{4 * GB}\n")
    (cgroups / "memory.current").write_text(f"{3 * GB}\n")
    assert memory_left(*system) == GB
    (cgroups / "memory/memory.limit_in_bytes").write_text(f"{2 * GB}\n")
    (cgroups / "memory/memory.usage_in_bytes").write_text(f"{3 * GB}\n")
    assert memory_left(*system) == 0


def test_where_nobody_says_nothing_is_known(tmp_path):
    assert memory_left(tmp_path / "no", tmp_path / "none") is None
