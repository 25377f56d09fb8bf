# Field 22 of /proc/PID/stat; the name before it may hold anything, so count from the last parenthesis.
start_of() { # PID
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # split into fields
    set -- ${stat##*') '}
    shift 19
    echo "$1"
}

# Whether a process is this very one.
is_still() { # PID START
    [ "$(start_of "$1")" = "$2" ]
}

