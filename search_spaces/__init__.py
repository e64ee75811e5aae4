"""Knobs, parameters and search spaces. A leaf: it needs pydantic and yaml only."""
