#!/bin/sh
# Run a command whose processes load a core built with the address and undefined-behaviour sanitizers; fail on any report.
# usage: asan.sh COMMAND...
# ASan's reports go to files, one a process, since the stderr of a rank may be lost. UBSan beside ASan knows no files: the core
# is built so that what it finds ends the process, which fails the test. Leaks are off: MPI libraries and Python keep much on
# purpose. Crashes are not reports: tests make some, and the others fail their test.
set -u
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
cc=${CC:-gcc}
LD_PRELOAD="$($cc -print-file-name=libasan.so) $($cc -print-file-name=libubsan.so)" \
ASAN_OPTIONS="detect_leaks=0:handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:log_path=$reports/asan" \
UBSAN_OPTIONS="print_stacktrace=1" \
PYTHONMALLOC=malloc "$@"
status=$?
for report in "$reports"/*; do
  [ -e "$report" ] || continue
  echo "== $(basename "$report")"
  cat "$report"
  status=1
done
exit $status
