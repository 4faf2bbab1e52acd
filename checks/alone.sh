#!/bin/sh
# Run a command with processes, shared memory and a folder for temporary files of its own, so that two of them beside each other
# do not see what the other leaves. For root; else the command runs as it is. What a shell starts in the background ignores
# Ctrl-C, and so would all that the command starts: undone here.
# usage: alone.sh COMMAND...
as_usual='env --default-signal=INT,QUIT'
spaces='unshare --mount --pid --fork --kill-child --mount-proc --propagation private'
$spaces true 2>/dev/null || exec $as_usual "$@"
TMPDIR=$(mktemp -d) && chmod 1777 "$TMPDIR" || exit
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
# Not exec: the first process of a namespace ignores signals.
$as_usual $spaces sh -c 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm && "$@"; exit $?' alone "$@"
