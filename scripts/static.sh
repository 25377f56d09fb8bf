#!/bin/sh
# Builds the program fully static, for any Linux on x86_64 with kernel 5.10 or later, whatever its C library: prints where it lies.
#
#   scripts/static.sh              the release build
#   scripts/static.sh --profile dev
#
# Needs the target (rustup target add x86_64-unknown-linux-musl) and a C compiler for it (Debian: musl-tools).
set -eu
cd "$(dirname "$0")/.."
TARGET=x86_64-unknown-linux-musl

die() { printf 'static.sh: %s\n' "$*" >&2; exit 1; }

profile=release
case ${1:-} in
    "") ;;
    --profile) profile=${2:?"--profile needs a name"} ;;
    *) die "usage: scripts/static.sh [--profile NAME]" ;;
esac
command -v cargo >/dev/null 2>&1 || die "cargo is missing: install Rust from https://rustup.rs"
command -v musl-gcc >/dev/null 2>&1 || die "musl-gcc is missing: apt-get install musl-tools"
cargo build --locked --bin bartizan --target "$TARGET" --profile "$profile" >&2 ||
    die "the build failed (is the target there? rustup target add $TARGET)"
folder=$profile
[ "$profile" != dev ] || folder=debug
built=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/$TARGET/$folder/bartizan
# A program that asks for an interpreter or a library would not start where that is missing.
if readelf -lW "$built" 2>/dev/null | grep -q INTERP; then die "$built is not static"; fi
printf '%s\n' "$built"
