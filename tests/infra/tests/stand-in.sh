#!/bin/sh
# Stands in for the program whose name it was called by: writes the call down, then does what the test's answers say, else nothing.
call="$(basename "$0") $*"
echo "$call" >> "$CALLS"
. "$ANSWERS"
exit 0
