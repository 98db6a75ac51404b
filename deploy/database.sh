#!/bin/sh
# Runs once, on an empty database folder: the role that Strongroom connects as owns its database and is not a superuser,
# so the triggers that keep the audit log append-only bind it, too.
set -eu
export PGPASSWORD="$POSTGRES_PASSWORD"
psql --no-psqlrc -v ON_ERROR_STOP=1 --username postgres --dbname postgres <<'END'
\getenv password DATABASE_PASSWORD
CREATE ROLE strongroom LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE strongroom OWNER strongroom;
END
