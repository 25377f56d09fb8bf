# What one note tells of, by its first line.
undo_note() { # NOTE
    {
        read -r method || return 1
        case $method in
        v1 | v2 | stop) undo_freeze "$method" ;;
        account) undo_account ;;
        container) undo_container ;;
        file) undo_file ;;
        *) return 1 ;;
        esac
    } <"$1"
}

# What would have undone it later: files beside the note, timers and cron files of ours.
forget() { # NOTE
    unit=bartizan-expiry-${1##*/}
    if [ -e "/etc/systemd/system/$unit.timer" ]; then
        # First the timer, while its file is there: else it is shown as failed. Its service, which this may be, goes on.
        [ ! -d /run/systemd/system ] || systemctl stop "$unit.timer"
        rm -f "/etc/systemd/system/$unit.timer" "/etc/systemd/system/$unit.service" \
            "/etc/systemd/system/timers.target.wants/$unit.timer"
        [ ! -d /run/systemd/system ] || systemctl daemon-reload
    fi
    # When it ran last, as systemd notes.
    rm -f "/var/lib/systemd/timers/stamp-$unit.timer"
    rm -f "/etc/cron.d/$unit"
    rm -f "$1.watchdog" "$1.until" "$1.until.new"
}

