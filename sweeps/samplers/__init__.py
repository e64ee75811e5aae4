"""What to try next, as a function of the store's rows."""
