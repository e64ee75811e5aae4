"""A process in which nothing moves says where it is, and ends."""

import math
import subprocess
import sys
import textwrap
import threading

from runners.stall import StallWatch, Stillness, move, moves


def test_stillness_is_the_time_since_the_sign_changed():
    """Looks 10 s apart: it grows while the sign stays, and starts anew with another one."""
    stillness = Stillness(10.0)
    assert [stillness.look(now, "a") for now in (0.0, 10.0, 20.0)] == [0.0, 10.0, 20.0]
    assert [stillness.look(now, "b") for now in (30.0, 40.0)] == [0.0, 10.0]


def test_time_in_which_nobody_looked_does_not_count():
    """A process that was stopped for an hour has not hung for an hour: two looks at the most."""
    stillness = Stillness(10.0)
    assert [stillness.look(now, "a") for now in (0.0, 3600.0, 3610.0)] == [0.0, 20.0, 30.0]


def test_moves_are_counted():
    """Each one is a sign that differs from the last."""
    before = moves()
    move()
    assert moves() != before


def test_the_last_words_say_what_waits(tmp_path):
    """The line for the reason names the innermost function; the stacks of all threads follow."""
    ended, told = threading.Event(), []

    def end(words, text):
        told.append((words, text))
        ended.set()

    def waits_for_what_never_comes():
        assert ended.wait(60.0)

    with StallWatch(1.0, end).over(tmp_path / "words"):
        waits_for_what_never_comes()
    ((words, text),) = told
    assert words == tmp_path / "words"
    reason, _, stacks = text.partition("\n\n")
    assert reason.startswith("nothing moved in it for 1s, it was in wait (threading.py:")
    ours, *others = stacks.split("\n\n")
    assert "waits_for_what_never_comes" in ours
    assert "_last_words" in "".join(others), "the watch is a thread as well"


def test_nobody_watches_without_a_limit(tmp_path):
    """`stall: none`."""
    before = threading.active_count()
    with StallWatch(math.inf).over(tmp_path / "words"):
        assert threading.active_count() == before


def ended(program, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_process_that_hangs_ends_and_one_that_works_or_rests_does_not(tmp_path):
    """Its last words are in their file, whose directory need not be there."""
    program = """
        import sys, threading
        from pathlib import Path
        from runners.stall import StallWatch, move

        watch, pause, words = StallWatch(1.0), threading.Event(), Path(sys.argv[1])
        with watch.over(words):
            for _ in range(15):
                pause.wait(0.1)
                move()
        pause.wait(1.5)  # between two trials
        print("worked and rested", flush=True)
        with watch.over(words):
            pause.wait()
    """
    words = tmp_path / "trial" / "hung-1.txt"
    done = ended(program, words)
    assert (done.returncode, done.stdout) == (1, "worked and rested\n"), done.stderr
    assert words.read_text().startswith("nothing moved in it for 1s, it was in wait (threading.py:")


def test_a_process_in_which_no_python_runs_ends_as_well(tmp_path):
    """Of a library that keeps the interpreter for itself nobody can tell where it is, but on stderr."""
    program = """
        import re, sys
        from pathlib import Path
        import runners.stall

        runners.stall.GRACE_S = 1.0
        with runners.stall.StallWatch(1.0).over(Path(sys.argv[1])) as _:
            import threading
            threading.Event().wait(0.5)  # until somebody has looked
            re.match("(a+)+$", 64 * "a" + "b")
    """
    done = ended(program, tmp_path / "words")
    assert done.returncode == 1
    assert done.stderr.startswith("Timeout (0:00:02)!")
    assert not (tmp_path / "words").exists()
