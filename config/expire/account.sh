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
    [ "$undone" = 0 ] && say "restored account $account"
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

