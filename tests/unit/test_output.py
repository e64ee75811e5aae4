import io
import os
import subprocess
import sys

import pytest

from sweeps.cli.output import Steady


@pytest.mark.parametrize(
    "say",
    [
        "from sweeps.cli.output import words; [words.print('a line') for _ in range(9)]",
        "from sweeps.cli.output import print_json; [print_json({'a': 1}) for _ in range(9)]",
        "import sys; from sweeps.cli.output import data; [data.print('a line') for _ in range(9)]",
    ],
)
def test_a_closed_pipe_ends_nothing(say):
    """A reader that is gone, as with `| head -3`, is neither an exception nor an exit code."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", f"{say}; raise SystemExit(7)"], stdout=writer, stderr=writer, check=False
    )
    os.close(writer)
    assert done.returncode == 7


def test_a_stream_that_was_replaced_is_followed(monkeypatch):
    """What is put in the place of stderr gets what is written from then on."""
    steady, instead = Steady("stderr"), io.StringIO()
    monkeypatch.setattr(sys, "stderr", instead)
    steady.write("words")
    assert instead.getvalue() == "words"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_a_stream_cannot_encode_is_written_out(encoding):
    """A file's name that is no UTF-8, and a terminal that knows ASCII only, end no command."""
    say = "from sweeps.cli.output import data; data.print('a\\udcff \\u00e4', markup=False)"
    done = subprocess.run(
        [sys.executable, "-c", say],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert done.stdout.decode(encoding) == ("a\\udcff ä\n" if encoding == "utf-8" else "a\\udcff \\xe4\n")
