#!/bin/sh
# Undoes everything that Bartizan did to this host, without Bartizan: needs only sh, cat, nft and kill.
# Usage: bartizan-emergency.sh [RUNTIME DIRECTORY]      (default /run/bartizan)
# It refuses nothing and asks nothing; it may be run at any time, any number of times, with the agent alive or dead.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C
runtime=${1:-${BARTIZAN_RUNTIME:-/run/bartizan}}
failed=0
say() { echo "bartizan-emergency: $*"; }

start_of() {
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # split into fields
    set -f -- ${stat##*') '}
    set +f
    shift 19
    echo "$1"
}

give_back() { # HIERARCHY PID ORIGIN
    path=${3%' (deleted)'}
    while :; do
        { echo "$2" >"$1$path/cgroup.procs"; } 2>/dev/null && return 0
        [ -d "/proc/$2" ] || return 0
        [ -n "$path" ] || return 1
        path=${path%/*}
    done
}

# 0. A living agent must not take what follows for drift and bring it back: it sees this sign and undoes everything too.
if [ -d "$runtime" ]; then
    { : >"$runtime/emergency-stop"; } 2>/dev/null || say "could not leave a sign for a running agent in $runtime"
fi

# 1. The timers that would have ended the freezes.
for file in "$runtime"/freeze/*.watchdog; do
    [ -f "$file" ] || continue
    read -r pid start <"$file"
    [ "$(start_of "$pid")" = "$start" ] && kill -s KILL -- "-$pid" 2>/dev/null && say "stopped the timer with pid $pid"
    rm -f "$file" 2>/dev/null
done
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
    systemctl stop 'bartizan-expiry-*.timer' 2>/dev/null
fi

# 2. Every process back where the notes say it was.
for note in "$runtime"/freeze/*; do
    [ -f "$note" ] || continue
    {
        read -r method
        IFS= read -r root
        IFS= read -r name
        while IFS= read -r line; do
            pid=${line%% *} rest=${line#* }
            start=${rest%% *} rest=${rest#* }
            stopped=${rest%% *} origin=${rest#* }
            [ "$(start_of "$pid")" = "$start" ] || continue
            if [ "$method" = stop ]; then
                [ "$stopped" = 1 ] || { kill -s CONT "$pid" && say "let pid $pid run again"; }
                continue
            fi
            case $(cat "/proc/$pid/cgroup" 2>/dev/null) in
            *":/bartizan/$name"*) give_back "$root" "$pid" "$origin" && say "put pid $pid back into $origin" ;;
            esac
        done
    } <"$note"
    rm -f "$note" 2>/dev/null
done

# 3. Whatever is left in a group of ours, with or without a note: nothing may stay frozen.
thaw_below() { # HIERARCHY FILE WORD
    for group in "$1"/bartizan/*/; do
        [ -f "$group$2" ] || continue
        # shellcheck disable=SC2013 # one pid a line, and all of them are read before the first one moves
        for pid in $(cat "${group}cgroup.procs"); do
            give_back "$1" "$pid" "" && say "let pid $pid run again"
        done
        { echo "$3" >"$group$2"; } 2>/dev/null
        rmdir "$group" 2>/dev/null
        [ -d "$group" ] && { say "could not remove $group (nothing in it is frozen)"; }
    done
    rmdir "$1/bartizan" 2>/dev/null
}
while read -r _ mount type options _; do
    case $type,$options in
    cgroup2,*) thaw_below "$mount" cgroup.freeze 0 ;;
    cgroup,*freezer*) thaw_below "$mount" freezer.state THAWED ;;
    esac
done </proc/mounts

# 4. Every blocked address.
if ! command -v nft >/dev/null 2>&1; then
    say "nft is not installed: blocked addresses stay until their own time is over"
    failed=1
elif nft list table inet bartizan >/dev/null 2>&1; then
    if nft delete table inet bartizan; then
        say "removed the table inet bartizan with every blocked address"
    else
        failed=1
    fi
fi
[ "$failed" = 0 ] && say "done: nothing is blocked or frozen by Bartizan"
exit "$failed"
