"""Tokens of the service on every store: whose names they may have."""

from collections.abc import Iterator

import pytest

from sweeps.core.errors import UserError
from sweeps.core.scopes import Scope
from sweeps.service import SweepService
from sweeps.store.tokens import Tokens
from tests.service_client import Service, problem, served


@pytest.fixture(scope="module")
def api(engine) -> Iterator[Service]:
    """The whole service over a store, with a token of each scope."""
    with served(SweepService(engine), prefix="tokens") as service:
        yield service


@pytest.mark.parametrize("name", ["masksweep-supervisor@lab", "masksweep-scheduler", "MaskSweep-x"])
def test_no_token_is_named_as_the_service_itself(engine, api, name):
    """What it asked for would look like the service's own doing: a pause of its own holds no sweep."""
    with pytest.raises(UserError) as refused:
        Tokens(engine).create(name, Scope.OPERATOR, by="ann@lab", now=1.0)
    assert str(refused.value) == f"got the name {name!r}, but masksweep-* is what the service itself does"
    assert refused.value.hint == "take a name that says whose it is, such as ann"
    answer = problem(api("POST", "/tokens", scope="admin", json={"name": name}), 422, "invalid")
    assert answer["detail"] == str(refused.value)
    assert name not in [token.name for token in Tokens(engine).all()]
