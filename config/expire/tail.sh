if [ "$when" = lasting ]; then
    # Called off means that the file is gone.
    while [ -f "$note.until" ] && [ -f "$note" ]; do
        seconds=$(left "$note")
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
    end_note "$note" && exit 0
    sleep 1
done
[ ! -f "$note" ]
