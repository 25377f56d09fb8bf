#!/bin/sh
# Runs inside a virtual machine with systemd: one phase of the kernel suite. Each check prints "RESULT<tab>NAME<tab>DETAIL",
# RESULT being ok, FAIL or note.
#
#   inside.sh install | look | act | expire | hang | before-reboot | after-reboot | uninstall
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C SYSTEMD_PAGER='' NO_COLOR=1
STRANGER=203.0.113.9

tell() { printf '%s\t%s\t%s\n' "$1" "$2" "$(printf '%s' "${3:-}" | tr '\n\t' '; ' | cut -c1-400)"; }
ok() { tell ok "$@"; }
bad() { tell FAIL "$@"; }

# Until a shell condition holds, SECONDS at most.
wait_until() { # SECONDS CONDITION
    n=$(($1 * 4))
    while [ "$n" -gt 0 ]; do
        eval "$2" && return 0
        sleep 0.25
        n=$((n - 1))
    done
    return 1
}

agent_pid() { systemctl show -p MainPID --value bartizan.service; }
answers() { bartizan status --json >/dev/null 2>&1; }
active() { bartizan actions --active 2>/dev/null; }

# Everything that an action may change, without what changes by itself: packets, counters, remaining times.
state_of_host() {
    nft list ruleset 2>/dev/null | grep -Ev 'expires|counter packets' | sed 's/ expires [0-9a-z]*//; s/counter packets [0-9]* bytes [0-9]*/counter/'
    sha256sum /etc/passwd /etc/shadow /etc/group /etc/ssh/sshd_config 2>/dev/null
    find /sys/fs/cgroup -name '*bartizan*' -not -path '*bartizan.service*' 2>/dev/null
}

# A service whose process may be frozen, with a child.
victim() { # NAME
    systemctl stop "$1.service" 2>/dev/null
    systemctl reset-failed "$1.service" 2>/dev/null
    systemd-run --quiet --unit="$1" sh -c 'sleep 10000 & wait' || return 1
    wait_until 5 "[ -n \"\$(systemctl show -p MainPID --value $1.service)\" ]"
    sleep 2
    systemctl show -p MainPID --value "$1.service"
}

# State of a process as the kernel says it, and whether it stands in its unit's group.
group_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
is_held() { # PID: it uses no processor time and stands in a frozen group, or is stopped
    frozen=$(cat "/sys/fs/cgroup$(group_of "$1")/cgroup.events" 2>/dev/null | sed -n 's/^frozen //p')
    [ "$frozen" = 1 ] || grep -q '^State:.T' "/proc/$1/status"
}

# --- phases -------------------------------------------------------------------------------------------------------------------

install_phase() {
    useradd -m -s /bin/bash bob 2>/dev/null
    usermod -p '$5$x$y' bob
    useradd -m -s /bin/bash -G sudo owner 2>/dev/null
    usermod -p '$5$x$y' owner
    began=$(date +%s)
    if said=$(cd /root/release && ./install.sh 2>&1) && wait_until 60 answers; then
        ok install "active and answering after $(($(date +%s) - began)) s; $(bartizan --version), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"
    else
        bad install "$said; $(systemctl status bartizan.service 2>&1 | tail -5)"
        return
    fi
    wait_until 10 "journalctl -u bartizan.service -o cat | grep -q ."
    line=$(journalctl -u bartizan.service -o cat | grep -iE 'version|bartizan [0-9]' | head -1)
    [ -n "$line" ] && ok "start line in the journal" "$line" || bad "start line in the journal" "$(journalctl -u bartizan.service -o cat | head -3)"
}

look_phase() {
    rung=$(bartizan status 2>&1 | sed -n 's/^sensors *//p')
    [ -n "$rung" ] && ok rung "$rung" || bad rung "no answer: $(bartizan status 2>&1 | head -1)"
    bartizan doctor >/tmp/doctor
    code=$?
    # 0 and 5 are its answers, everything else is none.
    case $code in 0 | 5) answer=ok ;; *) answer=FAIL ;; esac
    tell $answer doctor "exit $code; $(grep -c '^works' /tmp/doctor) work; $(grep -v '^works' /tmp/doctor | grep -vE '^ |blind spot' | cut -c1-160)"
    if bartizan redteam live >/tmp/drill 2>&1; then ok drill "$(grep -c '^ *SEEN' /tmp/drill) steps seen, $(sed -n 's/^Incident [A-Z0-9]* *//p' /tmp/drill | head -1)"; else bad drill "$(grep -E 'MISSED|missed|FAILED' /tmp/drill | head -3)"; fi
    ok memory "$(sed -n 's/^VmRSS:[[:space:]]*//p' "/proc/$(agent_pid)/status") resident"
    loaders
    modules
    ok exposure "systemd-analyze security: $(systemd-analyze security --no-pager bartizan.service 2>/dev/null | sed -n 's/.*exposure level for bartizan.service: //p')"
}

# systemd loads BPF programs for units with rules of their own: they are told as systemd's, by their loader.
loaders() {
    for _ in 1 2 3; do
        systemd-run --quiet --wait -p DevicePolicy=strict -p IPAddressDeny=any true 2>/dev/null
        sleep 1
    done
    sleep 2
    strangers=$(bartizan events --kind privilege.use --where '"bpf"' 2>/dev/null | grep 'loaded a BPF' | grep -v systemd)
    if [ "$(bartizan events --kind privilege.use --where '"bpf"' 2>/dev/null | grep -c 'loaded a BPF.*')" -eq 0 ]; then
        tell note "BPF programs of systemd" "it loads none here"
    elif [ -z "$strangers" ]; then
        ok "BPF programs of systemd" "told as its own: $(bartizan events --kind privilege.use --where '"bpf"' 2>/dev/null | grep 'loaded a BPF' | tail -1)"
    else
        bad "BPF programs of systemd" "$(printf '%s\n' "$strangers" | wc -l) without it, such as: $(printf '%s\n' "$strangers" | head -2)"
    fi
}

# A module that a service loads from where anybody may write is told, the system's own loading is not.
modules() {
    file=$(find "/lib/modules/$(uname -r)/" -name 'dummy.ko*' | head -1)
    if [ -z "$file" ]; then tell note "modules" "no module to try here"; return; fi
    systemd-run --quiet --wait modprobe dummy 2>/dev/null
    told='bartizan events --kind privilege.use --where dummy 2>/dev/null | grep -q "loads the kernel module"'
    if ! wait_until 10 "$told"; then bad "modules" "modprobe dummy was not seen: $(lsmod | grep dummy)"; return; fi
    quiet=$(bartizan alerts 2>/dev/null | grep -c 'kernel module')
    modprobe -r dummy
    cp "$file" "/tmp/${file##*/}"
    systemd-run --quiet --wait insmod "/tmp/${file##*/}" 2>/dev/null
    if [ "$quiet" = 0 ] && wait_until 10 "bartizan alerts 2>/dev/null | grep -q 'loads the kernel module dummy by way of /tmp/dummy'"; then
        ok "modules" "modprobe is quiet; $(bartizan alerts | grep -o '[a-z]* (pid [0-9]*) loads the kernel module.*' | head -1)"
    else
        bad "modules" "quiet: $quiet; $(bartizan alerts | tail -2); $(bartizan events --kind privilege.use --where dummy | tail -2)"
    fi
    modprobe -r dummy
    rm -f "/tmp/${file##*/}"
}

# Does it, looks whether the host shows it, undoes it, looks whether the host is as before.
deed() { # NAME CONDITION WORDS...
    name=$1 shown=$2
    shift 2
    state_of_host >/tmp/before
    if ! said=$(bartizan "$@" 2>&1); then
        case $said in
            # A kernel without a piece of the packet filter is told of, and costs this action alone.
            *'this kernel cannot do that'*) tell note "$name" "not on this kernel: ${said#*cannot do that: }" ;;
            *) bad "$name" "$said" ;;
        esac
        return
    fi
    if ! wait_until 10 "$shown"; then
        bad "$name" "said: $said; the host does not show it ($shown): $(nft list table inet bartizan 2>&1 | head -20)"
        bartizan rollback --all >/dev/null 2>&1
        return
    fi
    if ! undone=$(bartizan rollback --all 2>&1); then
        bad "$name" "undo failed: $undone"
        return
    fi
    state_of_host >/tmp/after
    # An empty table of ours may stay without effect.
    if wait_until 10 "! eval \"$shown\""; then ok "$name" "done and undone"; else bad "$name" "still there after the undo: $undone"; fi
}

in_table() { echo "nft list table inet bartizan 2>/dev/null | grep -q '$1'"; }

act_phase() {
    deed "block inbound" "$(in_table $STRANGER)" block $STRANGER --for 5m
    deed "block outbound" "$(in_table $STRANGER)" block --out $STRANGER --for 5m
    deed "limit" "$(in_table $STRANGER)" limit $STRANGER --for 5m
    deed "block for a user" "$(in_table $STRANGER)" block --out $STRANGER --user bob --for 5m
    pid=$(victim victim)
    deed "block for a cgroup" "$(in_table $STRANGER)" block --out $STRANGER --cgroup "$(group_of "$pid")" --for 5m
    home=$(group_of "$pid")
    deed "freeze" "is_held $pid" freeze "$pid" --for 5m
    [ "$(group_of "$pid")" = "$home" ] && ok "thawed into its unit" "$home" || bad "thawed into its unit" "was $home, is $(group_of "$pid")"
    if said=$(bartizan kill "$pid" 2>&1) && wait_until 5 "[ ! -d /proc/$pid ] || grep -q 'State:.Z' /proc/$pid/status"; then ok kill "ended"; else bad kill "$said"; fi
    deed "disable an account" "grep -q '^bob:!' /etc/shadow" disable-user bob --for 5m
    bartizan copies 2>/dev/null | grep -q /etc/ssh/sshd_config || wait_until 30 "bartizan copies | grep -q /etc/ssh/sshd_config"
    echo '# changed since' >>/etc/ssh/sshd_config
    sleep 2
    deed "restore a file" "! grep -q 'changed since' /etc/ssh/sshd_config" restore /etc/ssh/sshd_config --for 5m
    sed -i '/# changed since/d' /etc/ssh/sshd_config
}

# The end by the clock, with nobody of ours alive and systemd reloaded in between.
expire_phase() {
    pid=$(victim victim)
    home=$(group_of "$pid")
    bartizan block $STRANGER --for 40s >/dev/null 2>&1 || tell note "block before the agent is killed" "not possible here"
    if ! said=$(bartizan freeze "$pid" --for 40s 2>&1); then bad "freeze before the agent is killed" "$said"; return; fi
    until=$(($(date +%s) + 40))
    systemctl list-units --all --no-pager >/tmp/units
    if grep -qE 'while read|cgroup.procs|printf' /tmp/units; then bad "units are named in words" "$(grep -E 'while read|cgroup.procs|printf' /tmp/units | head -2)"; else ok "units are named in words"; fi
    mkdir -p /run/systemd/system/bartizan.service.d
    printf '[Service]\nRestart=no\n' >/run/systemd/system/bartizan.service.d/dead.conf
    systemctl daemon-reload
    main=$(agent_pid)
    for p in $(pidof bartizan); do kill -KILL "$p" 2>/dev/null; done
    wait_until 10 "[ ! -d /proc/$main ]" || bad "agent killed" "$main lives"
    systemctl daemon-reload
    is_held "$pid" || bad "freeze outlives the agent" "it runs already"
    if wait_until $((until - $(date +%s) + 30)) "! is_held $pid"; then
        [ "$(group_of "$pid")" = "$home" ] && ok "freeze ends with every process of ours killed and a daemon-reload" "$(($(date +%s) - until)) s after its time, back in its unit" ||
            bad "freeze ends with every process of ours killed and a daemon-reload" "it runs, but in $(group_of "$pid") instead of $home"
    else
        bad "freeze ends with every process of ours killed and a daemon-reload" "still held 30 s after its time"
    fi
    eval "$(in_table $STRANGER)" && bad "block ends in the kernel" "still there" || ok "block ends in the kernel"
    rm -rf /run/systemd/system/bartizan.service.d
    systemctl daemon-reload
    systemctl restart bartizan.service
    wait_until 60 answers && ok "starts again" || bad "starts again" "$(systemctl status bartizan.service | tail -3)"
    [ -z "$(active | grep -v '^ *$' | grep -iv 'no ')" ] || tell note "rows after the restart" "$(active)"
    systemctl stop victim.service
}

hang_phase() {
    main=$(agent_pid)
    began=$(date +%s)
    kill -STOP "$main"
    if wait_until 90 "[ \"\$(agent_pid)\" != $main ] && answers"; then
        ok "a hung agent is replaced" "after $(($(date +%s) - began)) s"
    else
        bad "a hung agent is replaced" "not within 90 s"
        kill -CONT "$main"
    fi
}

before_reboot_phase() {
    bartizan block $STRANGER --for 30m >/dev/null 2>&1 || tell note "block before the reboot" "not possible here"
    said=$(bartizan disable-user bob --for 30m 2>&1) || { bad "disable an account before the reboot" "$said"; return; }
    id=$(active | grep bob | grep -oE '^A[0-9]+' | head -1)
    if said=$(bartizan confirm "$id" 2>&1); then ok "an action is confirmed" "$said"; else bad "an action is confirmed" "$id: $said"; fi
    active | tail -3
    # The drill's own alerts are no news after the reboot.
    bartizan alerts 2>/dev/null | awk '{print $1}' >/root/alerts-before
    sync
}

after_reboot_phase() {
    wait_until 120 answers && ok "answers after the reboot" "$(systemctl is-system-running)" || { bad "answers after the reboot" "$(systemctl status bartizan.service | tail -3)"; return; }
    sleep 8
    wrong=$(bartizan alerts 2>/dev/null | awk 'NR == FNR {known[$1]; next} !($1 in known)' /root/alerts-before - | head -2)
    if [ -z "$wrong" ]; then
        ok "no false alert by the reboot"
    else
        bad "no false alert by the reboot" "$wrong"
        # Why, for who reads the log.
        printf '%s\n' "$wrong" | grep -oE 'I[0-9]+' | sort -u | while read -r incident; do bartizan explain "$incident"; done
    fi
    grep -q '^bob:!' /etc/shadow && ok "an action that outlives a reboot is still there" "bob is disabled" || bad "an action that outlives a reboot is still there" "$(active)"
    bartizan rollback --all >/tmp/undone 2>&1 && ! grep -q '^bob:!' /etc/shadow && ok "undone after the reboot" || bad "undone after the reboot" "$(cat /tmp/undone)"
}

uninstall_phase() {
    bartizan block $STRANGER --for 30m >/dev/null 2>&1
    pid=$(victim victim)
    bartizan freeze "$pid" --for 30m >/dev/null 2>&1
    said=$(cd /root/release && BARTIZAN_PURGE=y ./install.sh --uninstall 2>&1) || bad uninstall "$said"
    is_held "$pid" && bad "uninstall undoes" "the process is held"
    systemctl stop victim.service
    left=$(find / -xdev \( -path /proc -o -path /sys -o -path /root/release -o -path /var/log/journal \) -prune -o -name '*bartizan*' -print 2>/dev/null
        find /run /var/lib/systemd -name '*bartizan*' 2>/dev/null
        nft list tables 2>/dev/null | grep bartizan
        find /sys/fs/cgroup -name '*bartizan*' 2>/dev/null
        systemctl list-units --all --no-legend '*bartizan*' 2>/dev/null
        pidof bartizan && echo "processes")
    [ -z "$left" ] && ok "uninstall leaves nothing" || bad "uninstall leaves nothing" "$left"
    state=$(systemctl is-system-running)
    [ "$state" = running ] && ok "system state after it" running || bad "system state after it" "$state: $(systemctl --failed --no-legend)"
}

case ${1:-} in
    install) install_phase ;;
    look) look_phase ;;
    act) act_phase ;;
    expire) expire_phase ;;
    hang) hang_phase ;;
    before-reboot) before_reboot_phase ;;
    after-reboot) after_reboot_phase ;;
    uninstall) uninstall_phase ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
