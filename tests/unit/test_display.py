import pytest

from runners.display import Display


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "Input/output error"), SystemExit(1)])
def test_a_broken_display_is_left_alone(error, caplog):
    """A closed pipe, as rich tells it too, ends the display and nothing else; it is said once."""
    calls = []

    def show(what):
        calls.append(what)
        raise error

    display = Display(show, show)
    display.note("one")
    display.progress(None)
    display.note("two")
    assert calls == ["one"]
    assert [record.getMessage() for record in caplog.records] == [
        f"the sweep goes on without its display: {type(error).__name__}: {error}"
    ]


def test_an_interrupt_passes_through_the_display():
    """Ctrl-C in the middle of a line is still a Ctrl-C."""

    def show(what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Display(show, show).note("one")
