# Others go first: four seconds after its time nobody else has come.
second_end() {
    exec </dev/null >/dev/null 2>&1
    quiet=0
    while [ "$quiet" -lt 2 ]; do
        pause=10 found=
        for directory in "$RUNTIME_NOTES" "$LASTING_NOTES"; do
            set +f
            set -- "$directory"/*.until
            set -f
            for file do
                if [ ! -f "$file" ] || [ ! -f "${file%.until}" ]; then continue; fi
                found=1
                seconds=$(($(left "${file%.until}") + 4))
                if [ "$seconds" -le 0 ]; then
                    end_note "${file%.until}" || seconds=2
                fi
                if [ "$seconds" -gt 0 ] && [ "$seconds" -lt "$pause" ]; then pause=$seconds; fi
            done
        done
        if [ -n "$found" ]; then quiet=0; else quiet=$((quiet + 1)); fi
        sleep "$pause"
    done
}
second_end
