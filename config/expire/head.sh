#!/bin/sh
# Ends one action at its time, although the agent may be dead, hung or uninstalled.
# Usage: bartizan-expire SECONDS|lasting NOTE
# NOTE is what the agent wrote before it changed anything; its first line says how it is undone. With `lasting` the time
# stands in NOTE.until, beside it, and is looked up again and again: it may be moved, and outlives a reboot.
set -uf
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin:/run/current-system/profile/sbin:/run/current-system/profile/bin
export PATH LC_ALL=C
when=$1
note=$2
trap '' HUP INT
case $when in
lasting | 0) ;;
*)
    # Written down by itself, before anybody hears of it: an agent that is killed now leaves no sleeper that nobody knows.
    stat=$(cat "/proc/$$/stat")
    # shellcheck disable=SC2086 # split into fields; the name before them may hold anything
    set -- ${stat##*') '}
    shift 19
    echo "$$ $1" >"$note.watchdog"
    # Called off before it could be written down: the deadline is gone already.
    [ -f "$note.until" ] || { rm -f "$note.watchdog"; exit 0; }
    ;;
esac
echo "$$"
exec </dev/null >/dev/null 2>&1
say() { :; }

