"""How much memory this process may still take."""

from pathlib import Path


def memory_left(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that the machine and this process's control group have left; None if nobody says.

    Args:
        proc: Where Linux says what there is.
        cgroups: Where it says what a group may take, in version 2 or 1 of its form.
    """
    found = [_available(proc), _within_group(cgroups, "memory.max", "memory.current")]
    limit, usage = "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"
    found.append(_within_group(cgroups, limit, usage))
    return min((left for left in found if left is not None), default=None)


def _available(proc: Path) -> int | None:
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _within_group(cgroups: Path, limit: str, usage: str) -> int | None:
    try:
        most = (cgroups / limit).read_text().strip()
        if not most.isdigit():  # "max"
            return None
        return max(0, int(most) - int((cgroups / usage).read_text()))
    except OSError:
        return None
