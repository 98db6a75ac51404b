#!/bin/sh
# Redis with a password that stands neither in a file nor on the command line, where `ps` would show it.
#
# The broker carries nudges only; losing it loses nothing. The append-only file merely spares the workers a pause after a
# restart. Never evict: a queue that silently lost messages would look like a slow one.
set -eu
case ${BROKER_PASSWORD:?} in *[!A-Za-z0-9_-]*)
    echo "BROKER_PASSWORD may have letters, digits, - and _ only: it is part of a URL" >&2
    exit 1
    ;;
esac

exec redis-server - <<END
bind * -::*
dir /data
requirepass $BROKER_PASSWORD
appendonly yes
save ""
maxmemory-policy noeviction
END
