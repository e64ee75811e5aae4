"""What the service asks of the system when it starts."""

import subprocess
import sys

import pytest

from sweeps.cli.serve import Listening, serve
from sweeps.core.errors import UserError
from sweeps.settings import Settings

PROGRAM = """
import resource
from sweeps.cli.serve import DESCRIPTORS, _descriptors

resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
got = _descriptors()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (got, {hard}), got
print(got == min(DESCRIPTORS, {hard}))
"""


def test_it_takes_as_many_descriptors_as_it_may_have():
    """Shells give 256, or 1,024: fewer than the event streams that there may be."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(hard=3000)], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


@pytest.mark.parametrize(
    ("listening", "said"),
    [
        ({"key": "key.pem"}, "got --tls-key without --tls-certificate"),
        ({"certificate": "key.pem"}, "key.pem is no certificate with its key"),
        ({"proxies": ("foo",)}, "--proxy: 'foo' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_what_the_web_server_would_stumble_over_is_said_before_anything_starts(tmp_path, listening, said):
    """Each with what to give instead; nothing is made."""
    (tmp_path / "key.pem").write_text("no PEM")
    files = {name: tmp_path / each for name, each in listening.items() if name != "proxies"}
    settings = Settings.load(tmp_path / "home", environ={})
    with pytest.raises(UserError, match=said):
        serve(settings, Listening("127.0.0.1", 0, **{**listening, **files}), supervise=False)
    assert not (tmp_path / "home").exists()
