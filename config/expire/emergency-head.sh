#!/bin/sh
# Undoes everything that Bartizan did to this host, without Bartizan: needs only sh, cat, nft and kill, and for a
# disabled account or an isolated container what their parts below name.
# Usage: bartizan-emergency [RUNTIME DIRECTORY [DATA DIRECTORY]]
# Without directories: /run/bartizan and /var/lib/bartizan, and those of every agent that noted itself in /run/bartizan-homes.
# It refuses nothing and asks nothing; it may be run at any time, any number of times, with the agent alive or dead.
# Made from the parts in config/expire, as `bartizan emergency-script` prints it: change them, not this file.
set -uf
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin:/run/current-system/profile/sbin:/run/current-system/profile/bin
export PATH LC_ALL=C
homes=/run/bartizan-homes
# shellcheck disable=SC2034 # the last part asks
only=${1:-${BARTIZAN_RUNTIME:-}}
runtime=${1:-${BARTIZAN_RUNTIME:-/run/bartizan}}
data=${2:-${BARTIZAN_DATA:-}}
failed=0
say() { echo "bartizan-emergency: $*"; }

