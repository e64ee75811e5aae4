"""Tells people what happened, at the places that a service's settings name."""
