"""The client of a service: what is wrong with what it was given is said before anything is sent."""

import pytest

from sweeps.cli.remote import ask
from sweeps.client import Client
from sweeps.core.errors import UserError


def test_a_token_from_a_file_with_other_line_ends_is_taken():
    """Spaces and line ends around it are none of it."""
    assert Client("http://localhost:1", " msk_a_b\r\n")._http.headers["Authorization"] == "Bearer msk_a_b"


@pytest.mark.parametrize("token", ["sécret", "sec\rret", "sec ret"])
def test_what_can_be_no_token_is_refused_and_not_shown(token):
    """It may be a secret with a slip of the pen."""
    with pytest.raises(UserError, match="MASKSWEEP_TOKEN holds what no token has") as told:
        Client("http://localhost:1", token)
    assert token not in f"{told.value} {told.value.hint}"


@pytest.mark.parametrize("url", ["localhost:8757", "ftp://x", "127.0.0.1"])
def test_a_url_of_another_kind_is_no_service(url):
    """Nobody waits for it to answer."""
    with pytest.raises(UserError, match="is no URL of a service"):
        Client(url, None)


@pytest.mark.parametrize("key", ["ü", "a b", "k" * 201, ""])
def test_a_key_that_no_header_takes_is_refused(key):
    """With what is allowed."""
    with pytest.raises(UserError, match="needs 1 to 200 characters of printable ASCII"):
        Client("http://localhost:1", None).post("/sweeps", key=key)


class _Undone:
    """A service where a pause that was asked for is taken back by somebody."""

    def post(self, *_):
        return {"answer": "asked", "request": {"request_id": 3}, "sweep": self.sweep([3])}

    def get(self, _):
        return self.sweep([])

    def sweep(self, requests):
        open_now = [{"request_id": each} for each in requests]
        return {"sweep_id": "parts-a2b3c4", "state": "RUNNING", "reason": None, "requests": open_now}


def test_nobody_waits_for_a_pause_that_was_undone():
    """As by a resumption: the sweep would never be PAUSED for it."""
    with pytest.raises(UserError, match="parts-a2b3c4 was RUNNING before it could be PAUSED"):
        ask(_Undone(), "pause", "parts-a2b3c4", as_json=False, wait=True)
