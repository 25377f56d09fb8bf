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
        rm -f "/etc/systemd/system/$unit.timer" "/etc/systemd/system/$unit.service" \
            "/etc/systemd/system/timers.target.wants/$unit.timer"
        if [ -d /run/systemd/system ]; then
            # --no-block: this may be that very unit.
            systemctl stop --no-block "$unit.timer"
            systemctl daemon-reload
        fi
    fi
    rm -f "/etc/cron.d/$unit"
    rm -f "$1.watchdog" "$1.until" "$1.until.new"
}

