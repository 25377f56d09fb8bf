# Undoes what a note tells of, one at a time: a watchdog, a timer and shells may all have come for it. Says whether it is gone.
end_note() { # NOTE
    if (set -C && echo "$$" >"$1.ending"); then
        if (undo_note "$1"); then
            rm -f "$1"
            forget "$1"
        fi
        rm -f "$1.ending"
    else
        read -r other <"$1.ending"
        if [ -z "$other" ] || [ ! -d "/proc/$other" ]; then rm -f "$1.ending"; fi
    fi
    [ ! -f "$1" ]
}

# Seconds that are left: by the boot's clock while it is the same boot, which no clock change moves, else by the wall's.
left() { # NOTE
    [ -f "$1.until" ] || { echo 0; return; }
    read -r boot ns wall <"$1.until"
    if [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then
        read -r up _ </proc/uptime
        echo $((ns / 1000000000 + 1 - ${up%.*}))
    else
        echo $((wall - $(date +%s)))
    fi
}

