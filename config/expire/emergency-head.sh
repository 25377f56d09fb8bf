#!/bin/sh
# Undoes everything that Bartizan did to this host, without Bartizan: needs only sh, cat, nft and kill, and for a
# disabled account or an isolated container what their parts below name.
# Usage: bartizan-emergency.sh [RUNTIME DIRECTORY [DATA DIRECTORY]]      (default /run/bartizan, /var/lib/bartizan)
# It refuses nothing and asks nothing; it may be run at any time, any number of times, with the agent alive or dead.
# Made from the parts in config/expire, as `bartizan emergency-script` prints it: change them, not this file.
set -uf
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C
runtime=${1:-${BARTIZAN_RUNTIME:-/run/bartizan}}
data=${2:-${BARTIZAN_DATA:-}}
[ -n "$data" ] || { [ -f "$runtime/data" ] && IFS= read -r data <"$runtime/data"; }
[ -n "$data" ] || data=/var/lib/bartizan
failed=0
say() { echo "bartizan-emergency: $*"; }

