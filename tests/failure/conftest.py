"""Shared by the tests that disturb drivers without Ray."""

from collections.abc import Iterator

import pytest

from sweeps.testing import store_url
from tests.failure.courses import Courses
from tests.failure.lives import Lives, lives


@pytest.fixture(scope="session")
def source() -> Iterator[Lives]:
    """Where lives come from."""
    with lives() as source:
        yield source


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def sweeps(request, source, tmp_path_factory) -> Courses:
    """Sweeps in a store of each kind."""
    url = store_url(request.param, tmp_path_factory.mktemp("store"), "failures")
    made = Courses(source, url, tmp_path_factory.mktemp("sweeps"))
    assert made.commits > 10
    assert len({state for state, _, _ in made.course.ends}) == 2, "some are pruned, and some are not"
    return made
