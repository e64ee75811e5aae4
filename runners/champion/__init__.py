"""A schedule's champion: what is kept of it, and how a night's best is held against it."""
