#!/bin/sh
# Installs Bartizan on this host, or removes it without a trace.
#
#   ./install.sh              build, install to /usr/local, enable the service where systemd runs
#   ./install.sh --uninstall  undo every action, stop the service, remove every file (asks about the data)
#   PREFIX=/opt/bartizan ./install.sh
set -eu
cd "$(dirname "$0")"
PREFIX="${PREFIX:-/usr/local}"
UNIT=/etc/systemd/system/bartizan.service

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

[ "$(id -u)" -eq 0 ] || die "needs root: sudo ./install.sh"

install_it() {
    command -v cargo >/dev/null 2>&1 || die "cargo is missing: install Rust from https://rustup.rs"
    cargo build --release --locked
    target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    install -d -m 0755 "$PREFIX/bin" "$PREFIX/share/man/man1"
    install -m 0755 "$target/release/bartizan" "$PREFIX/bin/bartizan.new"
    # A rename: a running agent keeps its old file, and nobody ever sees half a program.
    mv -f "$PREFIX/bin/bartizan.new" "$PREFIX/bin/bartizan"
    "$PREFIX/bin/bartizan" man >"$PREFIX/share/man/man1/bartizan.1"
    install -m 0755 config/bartizan-emergency.sh "$PREFIX/bin/bartizan-emergency"
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
        say "bartizan watches. Open its console with: bartizan"
    else
        say "installed. No systemd here: start it with \`bartizan --headless\` or open the console with \`bartizan\`"
    fi
    say "undo everything it ever did to this host: bartizan emergency-stop, or sh $PREFIX/bin/bartizan-emergency"
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
    if ! sh config/bartizan-emergency.sh; then
        say "not everything could be undone (see above): the notes in /var/lib/bartizan/expiry stay"
        BARTIZAN_PURGE=no
    fi
    rm -f "$PREFIX/bin/bartizan" "$PREFIX/bin/bartizan-emergency" "$PREFIX/share/man/man1/bartizan.1"
    rm -rf /run/bartizan /run/bartizan-homes
    if [ -d /var/lib/bartizan ] || [ -d /etc/bartizan ]; then
        answer=${BARTIZAN_PURGE:-}
        if [ -z "$answer" ] && [ -t 0 ]; then
            printf 'remove the records in /var/lib/bartizan and the settings in /etc/bartizan too? [y/N] '
            read -r answer
        fi
        case $answer in
            y | Y | yes | 1) rm -rf /var/lib/bartizan /etc/bartizan && say "records and settings removed" ;;
            *) say "kept: /var/lib/bartizan and /etc/bartizan" ;;
        esac
    fi
    say "bartizan is gone"
}

case ${1:-} in
    "") install_it ;;
    --uninstall) uninstall_it ;;
    *) die "usage: ./install.sh [--uninstall]" ;;
esac
