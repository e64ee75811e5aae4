"""Pure domain: no I/O and no clock. Time and seeds come in as arguments."""
