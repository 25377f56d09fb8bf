#!/bin/sh
# Runs every test: installs what they need where it may, says aloud what it skipped and why.
#
#   ./test.sh                  everything
#   BARTIZAN_NO_INSTALL=1 ./test.sh   touch no package
#
# Tests that change the network do so only in network namespaces that they make and remove.
set -eu
cd "$(dirname "$0")"

skipped=""
began=$(date +%s)
note() { printf '\n== %s\n' "$*"; }
skip() {
    printf 'skipped: %s\n' "$*"
    skipped="$skipped
  - $*"
}
have() { command -v "$1" >/dev/null 2>&1; }

# sbin is not on every root's PATH, and a fresh rustup is not on the PATH of a non-login shell.
PATH="$PATH:/usr/sbin:/sbin:${HOME:-/root}/.cargo/bin"
export PATH

# --- what the tests need -------------------------------------------------------------------------------------------
# command:package, one each; the C compiler builds SQLite, clang our BPF program (else the committed object is used).
NEEDS="cc:gcc clang:clang llvm-strip:llvm nft:nftables ip:iproute2 tmux:tmux sshd:openssh-server ssh:openssh-client
conntrack:conntrack socat:socat busybox:busybox-static dockerd:docker.io nginx:nginx-light ps:procps python3:python3 nsenter:util-linux
curl:curl git:git cron:cron logrotate:logrotate rsync:rsync shellcheck:shellcheck sudo:sudo doas:doas debootstrap:debootstrap getfattr:attr unshare:util-linux useradd:passwd
openssl:openssl aiosmtpd:python3-aiosmtpd musl-gcc:musl-tools fail2ban-client:fail2ban aide:aide setcap:libcap2-bin lintian:lintian readelf:binutils"

missing_packages() {
    for need in $NEEDS; do
        have "${need%%:*}" || printf '%s ' "${need#*:}"
    done
}

install_needs() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    if [ -n "${BARTIZAN_NO_INSTALL:-}" ]; then
        skip "installing $packages: BARTIZAN_NO_INSTALL is set"
    elif ! have apt-get; then
        skip "installing $packages: this is not Debian or a relative of it; install them by your own means"
    elif [ "$(id -u)" -ne 0 ]; then
        skip "installing $packages: not root"
    else
        printf 'installing: %s\n' "$packages"
        # A service that a package brings must not start on the machine that runs the tests.
        policy=/usr/sbin/policy-rc.d
        made_policy=""
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made_policy=1
        fi
        export DEBIAN_FRONTEND=noninteractive
        if ! apt-get update -qq; then
            skip "apt-get update: it failed; trying with the lists that are here"
        fi
        # One by one, so that a package that one release lacks does not take the others with it.
        for package in $packages; do
            apt-get install -y -qq --no-install-recommends "$package" >/dev/null || skip "package $package: apt-get could not install it"
        done
        [ -z "$made_policy" ] || rm -f "$policy"
    fi
}

note "What the tests need"
install_needs
have cargo || { echo "cargo is missing: install Rust from https://rustup.rs, then run ./test.sh again" >&2; exit 1; }
have cc || { echo "a C compiler is missing: install gcc, then run ./test.sh again" >&2; exit 1; }
have clang || skip "building our BPF program: no clang; the committed prebuilt object is used instead"
[ "$(id -u)" -eq 0 ] || skip "every test that needs the real kernel: not root (run: sudo ./test.sh)"
for tool in nft ip tmux nsenter; do
    have "$tool" || skip "tests that drive $tool: it is not installed"
done
[ -r /sys/kernel/btf/vmlinux ] || skip "eBPF sensor tests: the kernel has no BTF (/sys/kernel/btf/vmlinux)"
printf 'kernel %s, %s, %s cores\n' "$(uname -r)" "$(rustc --version)" "$(nproc 2>/dev/null || echo '?')"

# --- the checks ----------------------------------------------------------------------------------------------------
# One profile only: clippy shares what `check` can share, everything else is built once, unoptimised.
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
export CARGO_INCREMENTAL=0

note "Format"
if cargo fmt --version >/dev/null 2>&1; then cargo fmt --all --check; else skip "cargo fmt: rustup component add rustfmt"; fi

note "Lints"
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
else
    skip "cargo clippy: rustup component add clippy"
fi

note "Shell scripts"
scripts=""
for script in test.sh .ci/run install.sh scripts/*.sh packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm; do
    [ -e "$script" ] || continue
    sh -n "$script"
    scripts="$scripts $script"
done
# shellcheck disable=SC2086 # a list of names without blanks
if have shellcheck; then shellcheck -s sh $scripts; else skip "shellcheck: not installed"; fi
# What ends an action at its time is joined from parts, in this order; so is what undoes all of them.
for ends in "head.sh claim.sh tail.sh" "second-head.sh claim.sh second.sh" "emergency-head.sh emergency.sh"; do
    parts="${ends%% *} process.sh freeze.sh account.sh container.sh file.sh undo.sh ${ends#* }"
    # shellcheck disable=SC2086 # a list of names without blanks
    (cd config/expire && cat $parts) >"${TMPDIR:-/tmp}/bartizan-expire.$$"
    sh -n "${TMPDIR:-/tmp}/bartizan-expire.$$"
    if have shellcheck; then shellcheck -s sh "${TMPDIR:-/tmp}/bartizan-expire.$$"; fi
done
rm -f "${TMPDIR:-/tmp}/bartizan-expire.$$"

note "The static target"
# What runs on hosts with an older C library: type-checked here, built by scripts/static.sh, run by tests/kernels.
static=x86_64-unknown-linux-musl
if [ "$(uname -m)" != x86_64 ]; then
    skip "the static target: this is $(uname -m)"
elif ! have musl-gcc; then
    skip "the static target: no musl-gcc (Debian: musl-tools)"
elif [ ! -d "$(rustc --print sysroot)/lib/rustlib/$static" ] && ! rustup target add "$static" >/dev/null 2>&1; then
    skip "the static target: rustup target add $static failed"
else
    cargo check --locked --bin bartizan --target "$static" --quiet
fi

note "Dependencies"
if have cargo-deny; then
    # Licences, bans and sources need only the registry; the advisories are a repository that may be out of reach.
    cargo deny --log-level error check licenses bans sources
    if cargo deny fetch db >/dev/null 2>&1; then
        cargo deny --log-level error check advisories
    else
        skip "cargo deny advisories: their database could not be fetched"
    fi
else
    skip "cargo deny: not installed (cargo install cargo-deny)"
fi

note "Documentation and its examples"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --lib --quiet
cargo test --locked --workspace --doc --quiet

if [ -n "$skipped" ]; then
    note "Skipped, and why$skipped"
    printf '  (a test that skips a part itself prints "skipped: ..." below or with --no-capture)\n'
fi

# The tests come last, so that their own closing line is the last thing to be read. How long all took is left for
# `cargo bench --bench sensing -- spending`.
note "Tests"
status=0
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --no-fail-fast || status=$?
else
    cargo test --locked --workspace --no-fail-fast --lib --bins --tests || status=$?
fi
echo $((($(date +%s) - began) / 60)) >target/test-minutes
exit $status
