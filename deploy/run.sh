#!/bin/sh
# run.sh NAME             become the process of that name in the Procfile
# run.sh COMMAND WORDS    become any other command
#
# The image's entrypoint. The Procfile stays the one list of our processes: nothing repeats its lines.
set -eu

procfile=$(dirname -- "$0")/../Procfile
case ${1-} in
"" | *[!a-z0-9_-]*) line= ;;
*) line=$(sed -n "s/^$1:[[:space:]]*//p" "$procfile") ;;
esac

if [ "$#" -eq 1 ] && [ -n "$line" ]; then
    exec sh -c "exec $line" # two execs: signals must reach the process, not a shell
fi
exec "$@"
