#!/bin/sh
# Installs Bartizan on this host, or removes it without a trace.
#
#   ./install.sh              install to /usr/local, enable the service where systemd runs: the program that lies beside this
#                             script, or, without one, what cargo builds
#   ./install.sh --from FILE  install this program; nothing is built, no Rust is needed
#   ./install.sh --uninstall  undo every action, stop the service, remove every file (asks about the data)
#   PREFIX=/opt/bartizan ./install.sh
set -eu
started_in=$PWD
cd "$(dirname "$0")"
PREFIX="${PREFIX:-/usr/local}"
UNIT=/etc/systemd/system/bartizan.service

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

[ "$(id -u)" -eq 0 ] || die "needs root: sudo ./install.sh"

# Where the program to install lies: named, beside this script, or built.
the_program() { # [FILE]
    if [ -n "${1:-}" ]; then
        echo "$1"
    elif [ -f bartizan ]; then
        echo ./bartizan
    else
        command -v cargo >/dev/null 2>&1 ||
            die "cannot build: cargo is missing, and there is no ./bartizan beside this script; name a binary with --from FILE, or install Rust from https://rustup.rs"
        cargo build --release --locked >&2 || die "the build failed"
        echo "$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/bartizan"
    fi
}

undo_everything() {
    if [ -s "$PREFIX/bin/bartizan-emergency" ]; then
        sh "$PREFIX/bin/bartizan-emergency"
    else
        script=$(sh scripts/emergency-script.sh) && sh -c "$script" bartizan-emergency
    fi
}

install_it() { # [FILE]
    program=$(the_program "${1:-}")
    [ -f "$program" ] || die "$program is not a file"
    install -d -m 0755 "$PREFIX/bin" "$PREFIX/share/man/man1"
    install -m 0755 "$program" "$PREFIX/bin/bartizan.new"
    # Before anything on this host changes: does it start here at all?
    if ! "$PREFIX/bin/bartizan.new" --version >/dev/null 2>&1; then
        rm -f "$PREFIX/bin/bartizan.new"
        die "$program does not run on this host (other architecture, or too old a C library): use the static build (scripts/static.sh)"
    fi
    # A rename: a running agent keeps its old file, and nobody ever sees half a program.
    mv -f "$PREFIX/bin/bartizan.new" "$PREFIX/bin/bartizan"
    "$PREFIX/bin/bartizan" man >"$PREFIX/share/man/man1/bartizan.1"
    # A rename here too: who runs it now reads on in the old one, and a full disk leaves no half of it.
    "$PREFIX/bin/bartizan" emergency-script >"$PREFIX/bin/bartizan-emergency.new"
    chmod 0755 "$PREFIX/bin/bartizan-emergency.new"
    mv -f "$PREFIX/bin/bartizan-emergency.new" "$PREFIX/bin/bartizan-emergency"
    install -d -m 0755 /etc/bartizan
    for file in agent.toml policy.toml keymap.toml; do
        # The commented defaults; what the owner wrote stays.
        [ -e "/etc/bartizan/$file" ] || sed 's/^\([^#[]\)/#\1/' "config/$file" >"/etc/bartizan/$file"
    done
    if systemd; then
        sed "s|/usr/local|$PREFIX|g" config/bartizan.service >"$UNIT"
        systemctl daemon-reload
        # One that already watches becomes the new program without missing an event.
        if systemctl -q is-active bartizan.service && "$PREFIX/bin/bartizan" upgrade; then
            systemctl -q enable bartizan.service
        else
            systemctl enable --now bartizan.service
        fi
        say "bartizan is running. Open its console with: bartizan"
    else
        say "installed. This host has no systemd: start it with \`bartizan --headless\` or open the console with \`bartizan\`"
    fi
    say "to undo everything that it did to this host: bartizan emergency-stop, or sh $PREFIX/bin/bartizan-emergency"
}

# The helpers that outlived the agent, to undo for it, kept its cgroup; a systemd that found it in use when the service stopped
# keeps cgroup and unit until it looks again.
forget_unit() {
    tries=50
    while [ $tries -gt 0 ] && grep -qs . /sys/fs/cgroup/system.slice/bartizan.service/cgroup.procs; do
        sleep 0.1
        tries=$((tries - 1))
    done
    systemctl reset-failed bartizan.service >/dev/null 2>&1 || true
    systemctl daemon-reload || true
}

uninstall_it() {
    if systemd && [ -e "$UNIT" ]; then
        systemctl disable --now bartizan.service || true
        rm -f "$UNIT"
        systemctl daemon-reload
    fi
    # Without systemd, or started by hand: asked to end.
    "$PREFIX/bin/bartizan" stop >/dev/null 2>&1 || true
    # After the agent ended, so that it cannot do anything new.
    if ! undo_everything; then
        say "not everything could be undone (see above): the expiry records in /var/lib/bartizan/expiry stay"
        BARTIZAN_PURGE=no
    fi
    if systemd; then forget_unit; fi
    rm -f "$PREFIX/bin/bartizan" "$PREFIX/bin/bartizan-emergency" "$PREFIX/share/man/man1/bartizan.1"
    rm -rf /run/bartizan /run/bartizan-homes
    if [ -d /var/lib/bartizan ] || [ -d /etc/bartizan ]; then
        answer=${BARTIZAN_PURGE:-}
        if [ -z "$answer" ] && [ -t 0 ]; then
            printf 'also remove the records in /var/lib/bartizan and the settings in /etc/bartizan? [y/N] '
            read -r answer
        fi
        case $answer in
            y | Y | yes | 1) rm -rf /var/lib/bartizan /etc/bartizan && say "records and settings removed" ;;
            *) say "kept: /var/lib/bartizan and /etc/bartizan" ;;
        esac
    fi
    say "bartizan is uninstalled"
}

case ${1:-} in
    "") install_it ;;
    --from)
        [ -n "${2:-}" ] || die "--from needs a file: ./install.sh --from FILE"
        # As the caller sees it, not as the folder of this script does.
        case $2 in /*) install_it "$2" ;; *) install_it "$started_in/$2" ;; esac
        ;;
    --uninstall) uninstall_it ;;
    *) die "usage: ./install.sh [--from FILE | --uninstall]" ;;
esac
