"""Warm start: what a new sweep takes over from earlier ones, decided once, when it is created."""
