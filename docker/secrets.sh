#!/bin/sh
# Writes the secrets of compose.yaml, drawn at random, into a directory: docker/secrets, or the one that is named.
# What is there already is kept: a database knows its password.
#   sh docker/secrets.sh [DIRECTORY]
set -eu
directory=${1:-$(dirname "$0")/secrets}
mkdir -p "$directory"
# Containers that run as other users must be able to read the files, which Compose mounts one by one with their own
# mode. On this machine the directory keeps everybody else out.
chmod 700 "$directory"
umask 022

keep() { # keep NAME CONTENT: writes a file unless it is there
    if [ ! -s "$directory/$1" ]; then
        printf '%s\n' "$2" >"$directory/$1"
        chmod 444 "$directory/$1"
    fi
}

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; } # 256 bits in hex: nothing to be quoted in a URL

keep postgres_password "$(random)"
keep masksweep_password "$(random)"
keep mlflow_password "$(random)"
keep ray_token "$(random)"
keep store_url "postgresql+psycopg://masksweep:$(cat "$directory/masksweep_password")@postgres:5432/masksweep"
keep mlflow_store_url "postgresql+psycopg://mlflow:$(cat "$directory/mlflow_password")@postgres:5432/mlflow"
keep notify "# Where the service tells people, a URL a line: docs/notifications.md"
chmod 644 "$directory/notify" # to be written into; the directory still keeps everybody else out
echo "secrets in $directory"
