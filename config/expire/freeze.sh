# Resumes frozen processes in the cgroups that they came from. The rest of the record: hierarchy, group, then
# "PID START STOPPED ORIGIN" lines.

# To its cgroup, or to the nearest one above that takes it.
give_back() { # HIERARCHY PID ORIGIN
    path=${3%' (deleted)'}
    while :; do
        { echo "$2" >"$1$path/cgroup.procs"; } 2>/dev/null && return 0
        [ -d "/proc/$2" ] || return 0
        [ -n "$path" ] || return 1
        path=${path%/*}
    done
}

inside() { # GROUP PID
    [ -f "$1/cgroup.procs" ] || return 1
    while read -r member; do
        [ "$member" = "$2" ] && return 0
    done <"$1/cgroup.procs"
    return 1
}

is_stopped() { # PID
    while read -r key value _; do
        [ "$key" = State: ] && { [ "$value" = T ]; return; }
    done 2>/dev/null <"/proc/$1/status"
    return 1
}

undo_freeze() { # METHOD
    IFS= read -r root || return 1
    IFS= read -r name || return 1
    group=$root/bartizan/$name
    first=
    while IFS= read -r line; do
        pid=${line%% *} rest=${line#* }
        start=${rest%% *} rest=${rest#* }
        stopped=${rest%% *} origin=${rest#* }
        [ -n "$first" ] || first=$origin
        is_still "$pid" "$start" || continue
        if [ "$1" = stop ]; then
            [ "$stopped" = 1 ] || { kill -s CONT "$pid" && say "resumed pid $pid"; }
        elif inside "$group" "$pid"; then
            give_back "$root" "$pid" "$origin" && say "moved pid $pid back into $origin"
        fi
        # Stopped, and not held yet, by an agent that was killed in between.
        if [ "$stopped" = 0 ] && is_stopped "$pid"; then kill -s CONT "$pid"; fi
    done
    [ "$1" = stop ] && return 0
    [ -d "$group" ] || return 0
    tries=0
    while [ "$tries" -lt 10 ]; do
        left=$(cat "$group/cgroup.procs")
        # Without a member in the note nobody knows where they belong.
        if [ -z "$left" ] || [ -z "$first" ]; then break; fi
        for pid in $left; do give_back "$root" "$pid" "$first"; done
        tries=$((tries + 1))
    done
    # Nothing may stay frozen, even what could not be moved.
    if [ "$1" = v2 ]; then echo 0 >"$group/cgroup.freeze"; else echo THAWED >"$group/freezer.state"; fi
    rmdir "$group" 2>/dev/null
    rmdir "$root/bartizan" 2>/dev/null
    return 0
}

