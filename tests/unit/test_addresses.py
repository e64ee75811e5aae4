"""Addresses of Ray clusters, probed on real sockets."""

import socket
import threading

import pytest

from runners.addresses import probe
from sweeps.core.errors import UserError


@pytest.mark.parametrize(
    "address", ["garbage", "foo://x", "localhost", "localhost:0", "localhost:99999", "a b:1"]
)
def test_what_is_no_address_is_told_the_forms_of_one(address):
    """An address of another form is refused without a look at the network."""
    with pytest.raises(UserError) as caught:
        probe(address)
    assert str(caught.value) == f"{address!r} is not the address of a Ray cluster"
    assert caught.value.hint == "write HOST:PORT, ray://HOST:PORT or auto"


@pytest.mark.parametrize("address", ["", "local"])
def test_a_cluster_of_ones_own_has_no_address(address):
    """Who wants Ray to start here leaves the option out."""
    with pytest.raises(UserError) as caught:
        probe(address)
    assert caught.value.hint == "leave --ray-address out to start Ray here"


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::ffff:127.0.0.1]:{}"])
def test_an_address_where_nothing_listens_is_refused_at_once(form):
    """Ray would wait for minutes; the probe knows immediately."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = form.format(server.getsockname()[1])
    with pytest.raises(UserError) as caught:
        probe(address)
    assert str(caught.value) == f"no Ray cluster answers at {address}: Connection refused"
    assert caught.value.hint == "start one with: ray start --head"


def test_a_web_server_is_no_cluster():
    """A port that answers in another language, such as the dashboard's, is told from a cluster's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UserError) as caught:
            probe(address)
    assert str(caught.value) == f"what answers at {address} is no Ray cluster"


def test_auto_means_the_cluster_that_the_environment_names(monkeypatch):
    """RAY_ADDRESS is what Ray takes for `auto`, so it is what is probed."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError) as caught:
        probe("auto")
    assert str(caught.value).startswith("no Ray cluster answers at 127.0.0.1:1: ")


@pytest.mark.slow
def test_a_running_cluster_answers(ray_address):
    """A real head node is taken for what it is."""
    probe(ray_address)
