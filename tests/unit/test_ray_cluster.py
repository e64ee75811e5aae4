"""A Ray that does not start, or cannot be joined, is told in words."""

from contextlib import nullcontext

import pytest
import ray

from runners.cluster import ray_cluster
from sweeps.core.errors import UserError


@pytest.mark.parametrize(
    ("address", "told", "hint"),
    [
        (None, "Ray did not start on this machine: The node timed out.", "try again"),
        ("10.0.0.1:6379", "the Ray cluster at 10.0.0.1:6379 cannot be joined: The node timed out.", None),
    ],
)
def test_a_ray_that_does_not_come_up_is_told_in_words(monkeypatch, address, told, hint):
    """Ray raises whatever it likes; its first line is the reason."""

    def timed_out(**_):
        raise Exception("The node timed out.\nSee the logs.")

    monkeypatch.setattr(ray, "init", timed_out)
    with pytest.raises(UserError) as refused, ray_cluster(address, nullcontext()):
        pass
    assert str(refused.value) == told
    assert hint in refused.value.hint if hint else refused.value.hint is None
