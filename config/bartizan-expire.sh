#!/bin/sh
# Ends one freeze at its time, although the agent may be dead, hung or uninstalled.
# Usage: bartizan-expire SECONDS NOTE
# NOTE is what the agent wrote before it moved anybody: method, hierarchy, group, then "PID START STOPPED ORIGIN" lines.
set -uf
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C
seconds=$1
note=$2
trap '' HUP INT
echo "$$"
exec </dev/null >/dev/null 2>&1
sleep "$seconds"
[ -f "$note" ] || exit 0

# Field 22 of /proc/PID/stat; the name before it may hold anything, so count from the last parenthesis.
start_of() {
    stat=$(cat "/proc/$1/stat") || return 1
    # shellcheck disable=SC2086 # split into fields
    set -- ${stat##*') '}
    shift 19
    echo "$1"
}

# To its cgroup, or to the nearest one above that takes it.
give_back() {
    path=${2%' (deleted)'}
    while :; do
        echo "$1" >"$root$path/cgroup.procs" && return 0
        [ -d "/proc/$1" ] || return 0
        [ -n "$path" ] || return 1
        path=${path%/*}
    done
}

inside() {
    while read -r member; do
        [ "$member" = "$1" ] && return 0
    done <"$group/cgroup.procs"
    return 1
}

{
    read -r method
    IFS= read -r root
    IFS= read -r name
    group=$root/bartizan/$name
    first=
    while IFS= read -r line; do
        pid=${line%% *} rest=${line#* }
        start=${rest%% *} rest=${rest#* }
        stopped=${rest%% *} origin=${rest#* }
        [ -n "$first" ] || first=$origin
        [ "$(start_of "$pid")" = "$start" ] || continue
        if [ "$method" = stop ]; then
            [ "$stopped" = 1 ] || kill -s CONT "$pid"
        elif inside "$pid"; then
            give_back "$pid" "$origin"
        fi
    done
} <"$note"

if [ "$method" != stop ]; then
    tries=0
    while [ "$tries" -lt 10 ]; do
        left=$(cat "$group/cgroup.procs")
        [ -n "$left" ] || break
        for pid in $left; do give_back "$pid" "$first"; done
        tries=$((tries + 1))
    done
    # Nothing may stay frozen, even what could not be moved.
    if [ "$method" = v2 ]; then echo 0 >"$group/cgroup.freeze"; else echo THAWED >"$group/freezer.state"; fi
    rmdir "$group"
    rmdir "$root/bartizan"
fi
rm -f "$note" "$note.watchdog"
