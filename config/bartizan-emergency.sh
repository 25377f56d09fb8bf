#!/bin/sh
# Undoes everything that Bartizan did to this host, without Bartizan: needs only sh, cat, nft and kill, and for a
# disabled account or an isolated container what their parts below name.
# Usage: bartizan-emergency.sh [RUNTIME DIRECTORY [DATA DIRECTORY]]
# Without directories: /run/bartizan and /var/lib/bartizan, and those of every agent that noted itself in /run/bartizan-homes.
# It refuses nothing and asks nothing; it may be run at any time, any number of times, with the agent alive or dead.
# Made from the parts in config/expire, as `bartizan emergency-script` prints it: change them, not this file.
set -uf
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C
homes=/run/bartizan-homes
# shellcheck disable=SC2034 # the last part asks
only=${1:-${BARTIZAN_RUNTIME:-}}
runtime=${1:-${BARTIZAN_RUNTIME:-/run/bartizan}}
data=${2:-${BARTIZAN_DATA:-}}
failed=0
say() { echo "bartizan-emergency: $*"; }

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

# Frozen processes run again, in the cgroups that they came from. The note goes on: hierarchy, group, then
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
            [ "$stopped" = 1 ] || { kill -s CONT "$pid" && say "let pid $pid run again"; }
        elif inside "$group" "$pid"; then
            give_back "$root" "$pid" "$origin" && say "put pid $pid back into $origin"
        fi
        # Stopped, and not held yet, by an agent that was killed in between.
        if [ "$stopped" = 0 ] && is_stopped "$pid"; then kill -s CONT "$pid"; fi
    done
    [ "$1" = stop ] && return 0
    [ -d "$group" ] || return 0
    tries=0
    while [ "$tries" -lt 10 ]; do
        left=$(cat "$group/cgroup.procs")
        [ -n "$left" ] || break
        for pid in $left; do give_back "$root" "$pid" "$first"; done
        tries=$((tries + 1))
    done
    # Nothing may stay frozen, even what could not be moved.
    if [ "$1" = v2 ]; then echo 0 >"$group/cgroup.freeze"; else echo THAWED >"$group/freezer.state"; fi
    rmdir "$group" 2>/dev/null
    rmdir "$root/bartizan" 2>/dev/null
    return 0
}

# A disabled account: its line of /etc/shadow comes back, byte for byte while it is as it was left; of a line that
# somebody changed meanwhile only the two marks go. The note goes on with the name, the line before, the line as left.
# Under both locks of the account files: of lckpwdf(3), which pam_unix, the shadow tools and bartizan take, and the lock file
# of the shadow tools. The file is replaced only while it is still the one that was read.

undo_account() {
    IFS= read -r account && IFS= read -r before && IFS= read -r after || return 1
    [ -f /etc/shadow ] || return 1
    seen=/etc/.shadow.bartizan-seen fresh=/etc/.shadow.bartizan-undo
    hold_accounts
    lock_shadow || { release_accounts; return 1; }
    undone=1 tries=0
    while [ "$undone" != 0 ] && [ "$tries" -lt 10 ]; do
        tries=$((tries + 1))
        rm -f "$seen" "$fresh"
        replace_shadow && undone=0
    done
    rm -f "$seen" "$fresh" /etc/shadow.lock
    release_accounts
    [ "$undone" = 0 ] && say "account $account is as it was before"
    return "$undone"
}

# No shell can take a lock of fcntl(2). vipw(8) can: it holds it while its editor runs, which here waits until we are done
# or gone, and changes nothing. A lock that nobody gives away in 20 seconds must not keep a person out for ever.
hold_accounts() {
    held=/etc/.pwd.bartizan-held holder=''
    rm -f "$held"
    command -v vipw >/dev/null 2>&1 || return 0
    editor="sh -c 'echo >\"\$0\"; while [ -e \"\$0\" ] && [ -d \"/proc/\$1\" ]; do sleep 0.1 2>/dev/null || sleep 1; done' $held $$"
    VISUAL=$editor EDITOR=$editor vipw </dev/null >/dev/null 2>&1 &
    holder=$! waits=0
    while [ ! -e "$held" ] && kill -0 "$holder" 2>/dev/null && [ "$waits" -lt 200 ]; do
        waits=$((waits + 1))
        a_moment
    done
    [ -e "$held" ] || kill "$holder" 2>/dev/null
    return 0
}

release_accounts() {
    rm -f "$held"
    [ -z "$holder" ] || wait "$holder" 2>/dev/null
}

a_moment() {
    sleep 0.1 2>/dev/null || sleep 1
}

# As the shadow tools do: a file with our pid, linked to the name of the lock; the lock of a dead one counts for nothing.
lock_shadow() {
    waits=0
    while [ "$waits" -lt 100 ]; do
        printf '%s' "$$" >/etc/shadow.bartizan
        ln /etc/shadow.bartizan /etc/shadow.lock 2>/dev/null && { rm -f /etc/shadow.bartizan; return 0; }
        rm -f /etc/shadow.bartizan
        holder=$(cat /etc/shadow.lock 2>/dev/null)
        if [ -z "$holder" ] || [ ! -d "/proc/$holder" ]; then rm -f /etc/shadow.lock; fi
        waits=$((waits + 1))
        a_moment
    done
    return 1
}

# Owner, mode and labels come with the copy; its content is written over.
replace_shadow() {
    (umask 077 && cat /etc/shadow >"$seen") || return 1
    cp --preserve=all /etc/shadow "$fresh" 2>/dev/null || cp -p /etc/shadow "$fresh" || return 1
    without_marks <"$seen" >"$fresh" || return 1
    content=$(cat "$seen")
    [ "$content" = "$(cat "$fresh")" ] && return 0
    sync "$fresh" 2>/dev/null || sync
    [ "$content" = "$(cat /etc/shadow)" ] || return 1
    mv -f "$fresh" /etc/shadow
}

without_marks() {
    found=
    while :; do
        IFS= read -r line && end='\n' || end=
        [ -n "$line$end" ] || return 0
        if [ -z "$found" ] && [ "${line%%:*}" = "$account" ]; then
            found=1
            unmark
        fi
        # shellcheck disable=SC2059 # it is \n or nothing
        printf "%s$end" "$line"
        [ -n "$end" ] || return 0
    done
}

# Fields from the left: name, password; from the right: flag, expiry.
unmark() {
    [ "$line" = "$after" ] && { line=$before; return; }
    case $line in *:*:*:*:*:*:*:*:*) ;; *) return ;; esac
    rest=${line#*:} old=${before#*:}
    password=${rest%%:*} rest=${rest#*:} old=${old%%:*}
    [ "$password" = "!$old" ] && password=$old
    flag=${rest##*:} rest=${rest%:*}
    expires=${rest##*:} rest=${rest%:*}
    was=${before%:*}
    [ "$expires" = 1 ] && expires=${was##*:}
    line=$account:$password:$rest:$expires:$flag
}

# A container that was cut off: paused ones run on, the others go back to each network as they were there. The note goes
# on with the runtime's socket, the container's id and `pause` or `network`; then one endpoint a line: network, address,
# IPv6 address, aliases with commas (`-` for none), and after a tab each the question that connects it as it was and one
# that asks for no address, for when another has it by now.

undo_container() {
    IFS= read -r socket && IFS= read -r container && read -r how || return 1
    case $socket in *podman*) cli=podman ;; *) cli=docker ;; esac
    # After a reboot the runtime may come later than we do.
    waits=0
    while [ ! -S "$socket" ] && [ "$waits" -lt "${runtime_patience:-60}" ]; do
        waits=$((waits + 1))
        sleep 1
    done
    if [ "$how" = pause ]; then
        runtime_unpause && say "container $container runs on"
        return
    fi
    undone=0
    while IFS= read -r line; do
        tab=$(printf '\t')
        plain=${line%%"$tab"*} questions=${line#*"$tab"}
        runtime_connect "${questions%%"$tab"*}" "${questions#*"$tab"}" || undone=1
    done
    [ "$undone" = 0 ] && say "container $container is on its networks again"
    return "$undone"
}

has() { command -v "$1" >/dev/null 2>&1; }

# POST: prints what was answered and, on the last line, the status. Nothing may read the note's own lines.
runtime_post() { # PATH BODY
    curl -s --max-time 20 --unix-socket "$socket" -H 'Content-Type: application/json' -X POST -d "$2" -w '\n%{http_code}' \
        "http://localhost$1" </dev/null
}

runtime_cli() {
    case $cli in
    docker) docker -H "unix://$socket" "$@" 2>&1 </dev/null ;;
    *) podman "$@" 2>&1 </dev/null ;;
    esac
}

# Gone, or not paused any more, is well too.
settled() { # ANSWER
    case $1 in
    *"o such container"* | *"o container with name"* | *"not paused"*) return 0 ;;
    *"already exists in network"* | *"already connected"*) return 0 ;;
    *"network "*" not found"* | *"o such network"* | *"unable to find network"*) return 0 ;;
    esac
    return 1
}

runtime_unpause() {
    if has curl; then
        answer=$(runtime_post "/containers/$container/unpause" '')
        case $answer in *204 | *200) return 0 ;; esac
    else
        answer=$(runtime_cli unpause "$container") && return 0
    fi
    settled "$answer"
}

runtime_connect() { # QUESTION QUESTION-WITHOUT-ADDRESS
    network=${plain%% *}
    if has curl; then
        for question in "$1" "$2"; do
            answer=$(runtime_post "/networks/$network/connect" "$question")
            case $answer in *200 | *201 | *204) return 0 ;; esac
            settled "$answer" && return 0
        done
        return 1
    fi
    # By hand what the question says, as far as the command line can: it has no word for the hardware address.
    words=${plain#* }
    address=${words%% *} words=${words#* }
    address6=${words%% *} aliases=${words#* }
    set -- network connect
    [ "$address" = - ] || set -- "$@" --ip "$address"
    [ "$address6" = - ] || set -- "$@" --ip6 "$address6"
    while [ "$aliases" != - ] && [ -n "$aliases" ]; do
        set -- "$@" --alias "${aliases%%,*}"
        case $aliases in *,*) aliases=${aliases#*,} ;; *) aliases= ;; esac
    done
    answer=$(runtime_cli "$@" "$network" "$container") && return 0
    settled "$answer" && return 0
    answer=$(runtime_cli network connect "$network" "$container") || settled "$answer"
}

# A file that was put back to a kept copy becomes again what it was. The note goes on: directory (no link in it), name,
# name of the former file in that directory ("-": there was none), path of the copy that was put there.

undo_file() {
    IFS= read -r directory || return 1
    IFS= read -r name || return 1
    IFS= read -r former || return 1
    IFS= read -r copy || return 1
    case $name/$former in
    */*/* | ../* | */.. | ./* | */. | /* | */) return 1 ;;
    esac
    # From here on every name is looked up in this one directory, whatever its path is made to lead to meanwhile.
    cd -P -- "$directory" || return 0
    [ "$(pwd -P)" = "$directory" ] || { say "$directory is not where it was: left alone"; return 0; }
    rm -f "./.$name.bartizan-new"
    if [ "$former" != - ] && [ ! -e "./$former" ] && [ ! -L "./$former" ]; then
        # Put back already.
        return 0
    fi
    # What somebody wrote there since is not ours to remove.
    if [ -L "./$name" ] || ! holds "./$name" "$copy"; then
        say "$directory/$name was changed since: left alone"
        [ "$former" = - ] || rm -f "./$former"
        return 0
    fi
    if [ "$former" = - ]; then
        rm -f "./$name" || return 1
        say "removed $directory/$name, which was not there before"
    else
        mv -f "./$former" "./$name" || return 1
        say "put the former $directory/$name back"
    fi
}

# Whether two files hold the same bytes; where there is no cmp, bytes that a shell can hold.
holds() { # FILE FILE
    if command -v cmp >/dev/null 2>&1; then
        cmp -s "$1" "$2"
    else
        [ "$(cat "$1"; echo .)" = "$(cat "$2"; echo .)" ]
    fi
}

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

end_watchdog() { # FILE PREFIX ("-": its whole group)
    [ -f "$1" ] || return 0
    read -r pid start _ <"$1" || return 0
    [ "$pid" -gt 1 ] 2>/dev/null && is_still "$pid" "$start" || return 0
    kill -s KILL -- "$2$pid" 2>/dev/null && say "stopped the watchdog with pid $pid"
}

# What one agent left in its directories.
undo_home() { # RUNTIME DATA ("": as the runtime directory says)
    runtime=$1 data=$2
    [ -n "$data" ] || { [ -f "$runtime/data" ] && IFS= read -r data <"$runtime/data"; }
    [ -n "$data" ] || data=/var/lib/bartizan

    # 0. A living agent must not take what follows for drift and bring it back: it sees this sign and undoes everything too.
    if [ -d "$runtime" ]; then
        { : >"$runtime/emergency-stop"; } 2>/dev/null || say "could not leave a sign for a running agent in $runtime"
    fi
    # Nor one that is started later: what has no file here is meant to be gone. Taking a file away needs no room on a disk.
    set +f
    set -- "$runtime"/wanted/*
    set -f
    for mark do rm -f "$mark" 2>/dev/null; done

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
            say "could not undo what $note tells of"
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
        say "could not undo what $note tells of"
        failed=1
        continue
    fi
    rm -f "$note" "$note.ending" 2>/dev/null
    forget "$note"
    say "removed ${file##*/}"
done

# What systemd noted of timers that are gone.
set +f
set -- /var/lib/systemd/timers/stamp-bartizan-expiry-*
set -f
for stamp do
    unit=${stamp##*/stamp-}
    [ -e "/etc/systemd/system/$unit" ] || rm -f "$stamp" 2>/dev/null
done

# 3. Whatever is left in a group of ours, with or without a note: nothing may stay frozen.
thaw_below() { # HIERARCHY FILE WORD
    hierarchy=$1 file=$2 word=$3
    set +f
    set -- "$hierarchy"/bartizan/*/
    set -f
    for group do
        [ -f "$group$file" ] || continue
        # shellcheck disable=SC2013 # one pid a line, and all of them are read before the first one moves
        for pid in $(cat "${group}cgroup.procs"); do
            give_back "$hierarchy" "$pid" "" && say "let pid $pid run again"
        done
        { echo "$word" >"$group$file"; } 2>/dev/null
        rmdir "$group" 2>/dev/null
        [ -d "$group" ] && { say "could not remove $group (nothing in it is frozen)"; }
    done
    rmdir "$hierarchy/bartizan" 2>/dev/null
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
[ "$failed" = 0 ] && say "done: nothing is blocked or frozen, disabled or cut off by an agent with$looked"
exit "$failed"
