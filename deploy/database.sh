#!/bin/sh
# Makes PostgreSQL's roles and the database, or brings them to what the environment says: each role a login of its own
# that is nobody's superuser, so the triggers that keep the audit log append-only bind it, too. Safe to run again, and run
# before every `migrate`: to change a password, change it in .env. `manage.py grant` says what each role may do.
#
# Elsewhere: PGHOST (and PGPORT, PGUSER) name a server, POSTGRES_PASSWORD is its administrator's.
set -eu
export PGPASSWORD="$POSTGRES_PASSWORD" PGUSER="${PGUSER:-postgres}"
psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --dbname postgres <<'END'
\getenv owner DATABASE_PASSWORD
\getenv web DATABASE_WEB_PASSWORD
\getenv worker DATABASE_WORKER_PASSWORD
\getenv sequencer DATABASE_SEQUENCER_PASSWORD

SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY['strongroom', 'strongroom_web', 'strongroom_worker', 'strongroom_sequencer']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

ALTER ROLE strongroom LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'owner';
ALTER ROLE strongroom_web LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'web';
ALTER ROLE strongroom_worker LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'worker';
ALTER ROLE strongroom_sequencer LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'sequencer';

-- What an idle transaction still sees cannot be vacuumed, and the outbox, where every row is soon deleted, crawls; a
-- sequencer that hangs holds the lock of the others.
ALTER ROLE strongroom_web SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE strongroom_worker SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE strongroom_sequencer SET idle_in_transaction_session_timeout = '5min';

SELECT 'CREATE DATABASE strongroom OWNER strongroom'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'strongroom') \gexec
END
