"""The SQL store: the one truth about sweeps, on SQLite and PostgreSQL."""
