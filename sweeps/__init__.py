"""The sweep service: specs, the SQL store, the search itself, MLflow mirroring and the command line."""
