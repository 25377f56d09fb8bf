# Seconds that are left: by the boot's clock while it is the same boot, which no clock change moves, else by the wall's.
left() {
    [ -f "$note.until" ] || { echo 0; return; }
    read -r boot ns wall <"$note.until"
    if [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then
        read -r up _ </proc/uptime
        echo $((ns / 1000000000 + 1 - ${up%.*}))
    else
        echo $((wall - $(date +%s)))
    fi
}

if [ "$when" = lasting ]; then
    # Called off means that the file is gone.
    while [ -f "$note.until" ] && [ -f "$note" ]; do
        seconds=$(left)
        [ "$seconds" -gt 0 ] || break
        [ "$seconds" -lt 60 ] || seconds=60
        sleep "$seconds"
    done
    # The standing watchdog, if it lives, goes first.
    [ -f "$note" ] && sleep 5
else
    sleep "$when"
fi

tries=0
while [ -f "$note" ] && [ "$tries" -lt 5 ]; do
    tries=$((tries + 1))
    # One at a time: a watchdog, a timer and a shell may all have come for it.
    if (set -C && echo "$$" >"$note.ending"); then
        if undo_note "$note"; then
            rm -f "$note"
            forget "$note"
        fi
        rm -f "$note.ending"
        [ -f "$note" ] || exit 0
    else
        read -r other <"$note.ending"
        if [ -z "$other" ] || [ ! -d "/proc/$other" ]; then rm -f "$note.ending"; fi
    fi
    sleep 1
done
[ ! -f "$note" ]
