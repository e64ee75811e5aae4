import pytest

from runners.deaths import cause_of_death

RAISED = """Failure # 1 (occurred at 2026-11-25_01-05-24)
The actor died because of an error in its creation task, \x1b[36mray::WorkerTrainable.__init__()\x1b[39m
  File "/srv/runners/trainable.py", line 22, in setup
    self._worker = factory()
                   ^^^^^^^^^
ImportError: No module named 'detectron2'

"""
KILLED = (
    "Failure # 1 (occurred at 2026-11-25_01-05-24)\n"
    "The actor died unexpectedly before finishing this task.\n\tpid: 17290\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR "
    "Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of file. "
    "Some common causes include: (1) the process was killed.\n"
    "The actor never ran - it was cancelled before it started running.\n"
)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (RAISED, "ImportError: No module named 'detectron2'"),
        (KILLED, "Worker unexpectedly exits with a connection error code 2. End of file."),
        ("", ""),
    ],
)
def test_the_cause_is_one_line(text, cause):
    """What the worker raised, or how its process ended, without Ray's advice around it."""
    assert cause_of_death(text) == cause
