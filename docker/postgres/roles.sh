#!/bin/sh
# Run once, by the PostgreSQL image, while its data directory is new: a database of its own, and a user that owns
# nothing else, for the store and for MLflow.
set -eu
cd "${SECRETS:-/run/secrets}"
psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres \
    -v masksweep_password="$(cat masksweep_password)" -v mlflow_password="$(cat mlflow_password)" <<'SQL'
CREATE ROLE masksweep LOGIN PASSWORD :'masksweep_password';
CREATE DATABASE masksweep OWNER masksweep;
REVOKE ALL ON DATABASE masksweep FROM PUBLIC;
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE ALL ON DATABASE mlflow FROM PUBLIC;
SQL
