end_watchdog() { # FILE PREFIX ("-": its whole group)
    [ -f "$1" ] || return 0
    read -r pid start _ <"$1" || return 0
    [ "$pid" -gt 1 ] 2>/dev/null && is_still "$pid" "$start" || return 0
    kill -s KILL -- "$2$pid" 2>/dev/null && say "stopped the watchdog with pid $pid"
}

# Every blocked address: first, for it may be the one that somebody waits for, and last, for an agent that had not seen the sign yet.
unblock() {
    nft list table inet bartizan >/dev/null 2>&1 || return 0
    nft delete table inet bartizan || return 1
    say "removed table inet bartizan with every blocked address"
}

# What one agent left in its directories.
undo_home() { # RUNTIME DATA ("": as the runtime directory says)
    runtime=$1 data=$2
    [ -n "$data" ] || { [ -f "$runtime/data" ] && IFS= read -r data <"$runtime/data"; }
    [ -n "$data" ] || data=/var/lib/bartizan

    # 0. A living agent must not take what follows for drift and bring it back: it sees this sign and undoes everything too.
    if [ -d "$runtime" ]; then
        { : >"$runtime/emergency-stop"; } 2>/dev/null || say "could not write $runtime/emergency-stop: a running agent may apply its actions again"
    fi
    # Nor one that is started later: what has no file here is meant to be gone. Taking a file away needs no room on a disk.
    set +f
    set -- "$runtime"/wanted/*
    set -f
    for mark do rm -f "$mark" 2>/dev/null; done
    unblock

    # 1. Who would have ended the actions: the standing watchdog, shells and timers.
    set +f
    set -- "$runtime"/freeze/*.watchdog "$data"/expiry/*.watchdog
    set -f
    for file do
        end_watchdog "$file" -
        rm -f "$file" 2>/dev/null
    done
    end_watchdog "$runtime/freeze/.second" -
    rm -f "$runtime/freeze/.second" "$runtime/freeze/.second.sh" 2>/dev/null
    if [ -f "$runtime/freeze/.watchdog" ]; then
        end_watchdog "$runtime/freeze/.watchdog" ""
        # A living agent starts it anew and need not be alarmed.
        { echo ended >"$runtime/freeze/.watchdog"; } 2>/dev/null
    fi
    # 2. What the notes tell of: frozen processes, disabled accounts, isolated containers, files put back.
    set +f
    set -- "$runtime"/freeze/* "$data"/expiry/*
    set -f
    for note do
        case ${note##*/} in *.*) continue ;; esac
        [ -f "$note" ] || continue
        if (undo_note "$note"); then
            rm -f "$note" "$note.ending" 2>/dev/null
            forget "$note"
        else
            say "could not undo the action of $note"
            failed=1
        fi
    done
    # Deadlines whose note is gone.
    set +f
    set -- "$runtime"/freeze/*.until "$data"/expiry/*.until
    set -f
    for file do
        [ -f "$file" ] || continue
        [ -f "${file%.until}" ] || { forget "${file%.until}"; say "removed ${file##*/}"; }
    done
}

if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
    systemctl stop 'bartizan-expiry-*.timer' 2>/dev/null
fi
looked=
undo_home "$runtime" "$data"
looked="$looked $runtime and $data"
if [ -z "$only" ]; then
    set +f
    set -- "$homes"/*
    set -f
    for home do
        [ -f "$home" ] || continue
        { IFS= read -r runtime && IFS= read -r data; } <"$home" || continue
        case " $looked " in *" $runtime and $data "*) continue ;; esac
        undo_home "$runtime" "$data"
        looked="$looked, $runtime and $data"
    done
fi
# Timers and cron files that are left: each names its note last in the line that it runs.
set +f
set -- /etc/systemd/system/bartizan-expiry-*.service /etc/cron.d/bartizan-expiry-*
set -f
for file do
    [ -f "$file" ] || continue
    note=/nowhere/${file##*/bartizan-expiry-} note=${note%.service}
    while read -r line; do
        case $line in *" lasting /"*/expiry/*) note=${line##* } ;; esac
    done <"$file"
    if [ -f "$note" ] && ! (undo_note "$note"); then
        say "could not undo the action of $note"
        failed=1
        continue
    fi
    rm -f "$note" "$note.ending" 2>/dev/null
    forget "$note"
    say "removed ${file##*/}"
done

# Time stamps that systemd keeps of removed timers.
set +f
set -- /var/lib/systemd/timers/stamp-bartizan-expiry-*
set -f
for stamp do
    unit=${stamp##*/stamp-}
    [ -e "/etc/systemd/system/$unit" ] || rm -f "$stamp" 2>/dev/null
done

# 3. Processes left in a cgroup of ours without an expiry record that we know: perhaps of another agent, in a container, whose own
# records say where they belong. Nothing may stay frozen; no process is moved by guess.
thaw_below() { # HIERARCHY FILE WORD
    hierarchy=$1 file=$2 word=$3
    set +f
    set -- "$hierarchy"/bartizan/*/
    set -f
    for group do
        [ -f "$group$file" ] || continue
        IFS= read -r was <"$group$file"
        if [ "$was" != "$word" ]; then
            if { echo "$word" >"$group$file"; } 2>/dev/null; then
                # shellcheck disable=SC2013 # one pid a line
                for pid in $(cat "${group}cgroup.procs"); do
                    say "thawed pid $pid where it was: no expiry record here says where it came from"
                done
            else
                say "could not thaw $group"
                failed=1
            fi
        fi
        rmdir "$group" 2>/dev/null
    done
    rmdir "$hierarchy/bartizan" 2>/dev/null
}
while read -r _ mount type options _; do
    case $type,$options in
    cgroup2,*) thaw_below "$mount" cgroup.freeze 0 ;;
    cgroup,*freezer*) thaw_below "$mount" freezer.state THAWED ;;
    esac
done </proc/mounts

# 4. What was blocked meanwhile.
if command -v nft >/dev/null 2>&1; then
    unblock || failed=1
else
    say "nft is not installed: blocked addresses stay until they expire"
    failed=1
fi
[ "$failed" = 0 ] && say "done: nothing is blocked or frozen, disabled or cut off by an agent with$looked"
exit "$failed"
