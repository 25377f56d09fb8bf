#!/bin/sh
# Makes a Debian package and its checksum of a built program: the same program and revision give the same bytes.
#
#   scripts/package.sh                        of the static release build (scripts/static.sh makes it)
#   scripts/package.sh --from FILE            of this program
#   scripts/package.sh --from FILE --to DIR   into this directory (default: target/package)
#
# Needs dpkg-deb (Debian: dpkg), readelf (binutils). BARTIZAN_COMPRESSION chooses dpkg-deb's -Z and -z ("gzip 1"; default: xz),
# BARTIZAN_PACKAGE_VERSION another version than the program's ("0.1.0-1").
set -eu
started_in=$PWD
cd "$(dirname "$0")/.."

die() { printf 'package.sh: %s\n' "$*" >&2; exit 1; }
from_here() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$started_in" "$1" ;; esac; }

program=
out=target/package
while [ $# -gt 0 ]; do
    case $1 in
        --from) program=$(from_here "${2:?"--from needs a file"}"); shift 2 ;;
        --to) out=$(from_here "${2:?"--to needs a directory"}"); shift 2 ;;
        *) die "usage: scripts/package.sh [--from FILE] [--to DIR]" ;;
    esac
done
for tool in dpkg-deb readelf gzip sha256sum; do
    command -v "$tool" >/dev/null 2>&1 || die "$tool is missing: apt-get install dpkg binutils gzip coreutils"
done
[ -n "$program" ] || program=$(sh scripts/static.sh)
[ -f "$program" ] || die "$program is not a file"
version=$("$program" --version 2>/dev/null | sed -n 's/^bartizan \([0-9][0-9A-Za-z.~+-]*\).*/\1/p')
version=${BARTIZAN_PACKAGE_VERSION:-$version}
[ -n "$version" ] || die "$program is no bartizan that runs here: its version is part of the package"

# One time for every file: when this revision was committed.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
export SOURCE_DATE_EPOCH

case $(readelf -h "$program" | sed -n 's/^ *Machine: *//p') in
    *X86-64*) architecture=amd64 ;;
    *AArch64*) architecture=arm64 ;;
    *) die "$program is for a machine that has no package here (x86_64 and aarch64 have)" ;;
esac
# A program that is not static needs the C library that it was linked with.
library=$(readelf -VW "$program" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | cut -d_ -f2)
needs="nftables, init-system-helpers (>= 1.52)${library:+, libc6 (>= $library)}"

maintainer="Bartizan maintainers <maintainers@bartizan.invalid>"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
install -d "$root/DEBIAN" "$root/usr/bin" "$root/usr/lib/systemd/system" "$root/usr/share/man/man1" "$root/etc/bartizan" \
    "$root/usr/share/doc/bartizan" "$root/usr/share/lintian/overrides" "$root/usr/share/bash-completion/completions" \
    "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"

install -m 0755 "$program" "$root/usr/bin/bartizan"
"$program" emergency-script >"$root/usr/bin/bartizan-emergency"
chmod 0755 "$root/usr/bin/bartizan-emergency"
sed 's|/usr/local/bin|/usr/bin|g' config/bartizan.service >"$root/usr/lib/systemd/system/bartizan.service"
"$program" man | gzip -9n >"$root/usr/share/man/man1/bartizan.1.gz"
ln -s bartizan.1.gz "$root/usr/share/man/man1/bartizan-emergency.1.gz"
"$program" completions bash >"$root/usr/share/bash-completion/completions/bartizan"
"$program" completions zsh >"$root/usr/share/zsh/vendor-completions/_bartizan"
"$program" completions fish >"$root/usr/share/fish/vendor_completions.d/bartizan.fish"
for file in agent.toml policy.toml keymap.toml; do
    # The commented defaults.
    sed 's/^\([^#[]\)/#\1/' "config/$file" >"$root/etc/bartizan/$file"
    printf '/etc/bartizan/%s\n' "$file" >>"$root/DEBIAN/conffiles"
done
cp packaging/deb/copyright "$root/usr/share/doc/bartizan/copyright"
gzip -9nc CHANGELOG.md >"$root/usr/share/doc/bartizan/CHANGELOG.md.gz"
printf 'bartizan (%s) stable; urgency=medium\n\n  * What is new: CHANGELOG.md.gz beside this file.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$root/usr/share/doc/bartizan/changelog.gz"
cat >"$root/usr/share/lintian/overrides/bartizan" <<'OVERRIDES'
# One program for every C library: that is what the static build is for.
bartizan: statically-linked-binary [usr/bin/bartizan]
# Written in Rust after libyaml, reads rules that root put there.
bartizan: embedded-library libyaml [usr/bin/bartizan]
# Reads which files packages brought, and never writes there.
bartizan: uses-dpkg-database-directly [usr/bin/bartizan]
# The address of a webhook is a secret and may stand in agent.toml.
bartizan: non-standard-file-perm
# reset-failed has no helper: without it a unit that its last helpers outlived stays listed.
bartizan: maintainer-script-calls-systemctl
OVERRIDES

find "$root" -type d -exec chmod 0755 {} +
find "$root" -type f ! -path '*/usr/bin/*' -exec chmod 0644 {} +
# The address of a webhook is a secret and may stand there.
chmod 0640 "$root/etc/bartizan/agent.toml"
for script in postinst prerm postrm; do install -m 0755 "packaging/deb/$script" "$root/DEBIAN/$script"; done
cat >"$root/DEBIAN/control" <<CONTROL
Package: bartizan
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: $needs
Section: admin
Priority: optional
Description: host-security agent with a full-screen terminal console
 One host, one guard: it learns what is normal on this host, recognises real
 attacks, takes safe and reversible action for a limited time, and explains
 every step in one sentence. The owner's way in is never cut.
CONTROL
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

install -d "$out"
package=$out/bartizan_${version}_${architecture}.deb
# shellcheck disable=SC2086 # two words
set -- ${BARTIZAN_COMPRESSION:-xz 6}
dpkg-deb --root-owner-group "-Z$1" "-z$2" --build "$root" "$package" >/dev/null
(cd "$out" && sha256sum "$(basename "$package")" >"$(basename "$package").sha256")
printf '%s\n' "$package"
