"""Whether a sweep will be done before its deadline."""

from sweeps.core.spec_fields import duration


def deadline_note(
    *, deadline: str, deadline_at: float | None, left_s: float | None, now: float, done: int, total: int
) -> str | None:
    """What a person should know of a deadline that will cut a sweep off; None if it is in time.

    Args:
        deadline: As the spec has it.
        deadline_at: The moment that it stands for, in seconds since the Unix epoch, or None.
        left_s: Estimated seconds of work at the pace so far, or None while nobody knows.
        now: Seconds since the Unix epoch.
        done: Trials that have ended,
        total: of so many.
    """
    if deadline_at is None or left_s is None or now + left_s <= deadline_at:
        return None
    late = _rough(now + left_s - deadline_at)
    return (
        f"the deadline {deadline} will cut it off: {done} of {total} trials have ended, and the rest needs "
        f"about {_rough(left_s)} at this pace, {late} too long"
    )


def _rough(seconds: float) -> str:
    """In whole minutes: an estimate is not known better."""
    return duration(max(1, round(seconds / 60)) * 60.0)
