#!/bin/bash
# A virtual machine with a stock Debian kernel, systemd as pid 1 and pure cgroup v2, made from Debian packages alone.
#
#   vm.sh run  [OPTIONS] SCRIPT    boots a fresh one, runs SCRIPT in it as root, prints what it prints, ends with its exit code
#   vm.sh boot [OPTIONS] NAME      boots a fresh one and leaves it running
#   vm.sh ssh  NAME [COMMAND...]   a command in one that runs (as root; `--user U` first for another account)
#   vm.sh copy NAME FILE PLACE     a file or folder into it
#   vm.sh wait NAME                until it answers (after a reboot)
#   vm.sh stop NAME                ends it and removes its disk
#   vm.sh kernels                  which kernels were fetched
#
# OPTIONS
#   --suite S          the Debian of the root file system: bullseye bookworm trixie sid        (bookworm)
#   --kernel P         kernel package: linux-image-cloud-amd64, linux-image-amd64, ...         (linux-image-cloud-amd64)
#   --kernel-suite S   where the kernel comes from, also bookworm-backports                    (as --suite)
#   --memory MIB       (2048)      --cpus N (2)      --append "kernel command line"
#   --packages a,b     more packages in the root file system (makes an image of its own)
#   --copy FILE:PLACE  copied in before SCRIPT runs; may be repeated
#   --timeout S        for SCRIPT (900)
#
# Where things lie: $VM_CACHE (default: /var/cache/bartizan-tests/vm): one tar of each root file system, each kernel unpacked, and run/NAME for
# each machine: disk.img, console.log, pid, port. The network has one cable, to 127.0.0.1:PORT here (restrict=on): no other way in or out.
# Uses KVM where it works, else TCG (some 10 to 30 times slower).
# Needs, as root: qemu-system-x86 debootstrap e2fsprogs kmod cpio xz-utils zstd openssh-client.
set -euo pipefail

CACHE=${VM_CACHE:-/var/cache/bartizan-tests/vm}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,udev,kmod,openssh-server,nftables,tmux,procps,iproute2,busybox-static,curl,python3-minimal,cron,sudo,netcat-openbsd,iputils-ping,sshpass,passwd,ca-certificates,less,lsof
suite=bookworm kernel=linux-image-cloud-amd64 kernel_suite='' memory=2048 cpus=2 append='' timeout=900 packages=$PACKAGES
copies=()

die() { printf 'vm.sh: %s\n' "$*" >&2; exit 1; }
note() { printf 'vm.sh: %s\n' "$*" >&2; }

# Where this machine gets its own packages from, if it is a Debian.
mirror() {
    local found
    found=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | tr ' ' '\n' | grep -m1 -E '^https?://.*/debian/?$' || true)
    [ -n "$found" ] || die "no Debian mirror in the apt sources"
    echo "$found"
}

# --- the root file system ---------------------------------------------------------------------------------------------------------

rootfs() { # prints the tar of it, made when it is not there yet
    local mark tar root
    mark=$(printf '%s' "$suite $packages" | sha256sum | cut -c1-8)
    tar=$CACHE/rootfs-$suite-$mark.tar
    if [ ! -f "$tar" ]; then
        note "making the root file system of $suite"
        root=$(mktemp -d "$CACHE/making-XXXXXX")
        debootstrap --keyring="$KEYRING" --variant=minbase --include="$packages" "$suite" "$root/r" "$(mirror)" >"$CACHE/debootstrap-$suite.log" 2>&1 ||
            { tail -5 "$CACHE/debootstrap-$suite.log" >&2; die "debootstrap $suite failed"; }
        furnish "$root/r"
        tar -C "$root/r" --numeric-owner --xattrs -cf "$tar.half" .
        mv "$tar.half" "$tar"
        rm -rf "$root"
    fi
    echo "$tar"
}

furnish() { # ROOT: an address, a name, our key, no waiting
    local r=$1
    rm -rf "$r"/var/cache/apt/archives/*.deb "$r"/var/lib/apt/lists/*
    echo vm >"$r/etc/hostname"
    printf '127.0.0.1 localhost vm\n::1 localhost\n' >"$r/etc/hosts"
    rm -f "$r/etc/resolv.conf"
    echo 'nameserver 10.0.2.3' >"$r/etc/resolv.conf"
    mkdir -p "$r/etc/systemd/network" "$r/root/.ssh" "$r/etc/ssh/sshd_config.d" "$r/var/log/journal"
    printf '[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' >"$r/etc/systemd/network/10-cable.network"
    [ -f "$CACHE/key" ] || ssh-keygen -q -t ed25519 -N '' -C make-vm -f "$CACHE/key"
    cp "$CACHE/key.pub" "$r/root/.ssh/authorized_keys"
    chmod 700 "$r/root/.ssh"
    printf 'PermitRootLogin prohibit-password\nUseDNS no\n' >"$r/etc/ssh/sshd_config.d/vm.conf"
    printf '/dev/vda / ext4 rw 0 1\n' >"$r/etc/fstab"
    chroot "$r" systemctl -q enable systemd-networkd ssh >/dev/null 2>&1
    chroot "$r" systemctl -q mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer >/dev/null 2>&1
    sed -i 's/^root:[^:]*:/root:*:/' "$r/etc/shadow"
}

# --- the kernel -------------------------------------------------------------------------------------------------------------------

apt_of() { # SUITE WORDS...: apt with lists of its own, so that this machine's are left alone
    local s=$1 d
    shift
    d=$CACHE/apt-$s
    local o=(-o "Dir::Etc::SourceList=$d/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferencesparts=/dev/null -o "Dir::State=$d/state"
        -o "Dir::Cache=$d/cache" -o "Dir::State::status=$d/status" -o APT::Sandbox::User=root -o Acquire::Languages=none)
    if [ ! -f "$d/ready" ]; then
        mkdir -p "$d/state/lists/partial" "$d/cache/archives/partial"
        : >"$d/status"
        echo "deb [signed-by=$KEYRING arch=amd64] $(mirror) $s main" >"$d/sources.list"
        apt-get "${o[@]}" -qq update >&2
        touch "$d/ready"
    fi
    local program=$1
    shift
    "$program" "${o[@]}" "$@"
}

# The packages that make up a kernel: what a metapackage depends on, and (since Debian 14) modules, program and base apart from the image.
kernel_packages() { # SUITE PACKAGE
    local more p
    more=$(apt_of "$1" apt-cache depends -i --no-recommends --no-suggests "$2" | sed -n 's/^ *Depends: \(linux-\(image\|modules\|binary\|base\)-[^ <>]*\)$/\1/p')
    echo "$2"
    for p in $more; do kernel_packages "$1" "$p"; done
}

kernel_dir() { # prints where the kernel lies: vmlinuz, lib/modules/VERSION, initrd.gz
    local dir=$CACHE/kernel-$kernel_suite-$kernel work deb
    if [ ! -f "$dir/initrd.gz" ]; then
        note "fetching $kernel of $kernel_suite"
        rm -rf "$dir"
        work=$(mktemp -d "$CACHE/fetching-XXXXXX")
        mkdir "$work/x"
        # shellcheck disable=SC2046
        (cd "$work" && apt_of "$kernel_suite" apt-get -qq download $(kernel_packages "$kernel_suite" "$kernel" | sort -u)) >&2
        for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/x"; done
        if [ -d "$work/x/usr/lib/modules" ]; then
            mkdir -p "$work/x/lib"
            cp -a "$work/x/usr/lib/modules" "$work/x/lib/"
        fi
        local version
        version=$(ls "$work/x/lib/modules")
        mkdir -p "$dir/lib"
        # In /boot up to Debian 13, beside its modules since.
        mv "$work/x/lib/modules" "$dir/lib/"
        cp "$work/x/boot/vmlinuz-$version" "$dir/vmlinuz" 2>/dev/null || cp "$dir/lib/modules/$version/vmlinuz" "$dir/vmlinuz"
        cp "$work/x/boot/config-$version" "$dir/config" 2>/dev/null || cp "$dir/lib/modules/$version/config" "$dir/config" 2>/dev/null || true
        depmod -b "$dir" "$version"
        initrd "$dir" "$version"
        echo "$version" >"$dir/version"
        rm -rf "$work"
    fi
    echo "$dir"
}

initrd() { # DIR VERSION: busybox and the modules to reach the disk, loaded in order
    local i m
    i=$(mktemp -d "$CACHE/initrd-XXXXXX")
    mkdir -p "$i"/{bin,m,proc,sys,dev,new}
    for m in usr/bin bin; do
        tar -xOf "$(rootfs)" "./$m/busybox" >"$i/bin/busybox" 2>/dev/null && break
    done
    chmod 755 "$i/bin/busybox"
    for m in virtio_pci virtio_blk ext4; do
        { modprobe -d "$1" -S "$2" --show-depends "$m" || true; } | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++' | while read -r m; do
        case $m in
            *.xz) xz -dc "$m" >"$i/m/$(basename "$m" .xz)"; m=${m%.xz} ;;
            *.zst) zstd -qdc "$m" >"$i/m/$(basename "$m" .zst)"; m=${m%.zst} ;;
            *) cp "$m" "$i/m/" ;;
        esac
        basename "$m" >>"$i/order"
    done
    touch "$i/order"
    cat >"$i/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
while read -r m; do /bin/busybox insmod /m/$m; done </order
n=0
until [ -b /dev/vda ] || [ $n -gt 100 ]; do /bin/busybox sleep 0.1; n=$((n+1)); done
/bin/busybox mount -t ext4 /dev/vda /new || exec /bin/busybox sh
/bin/busybox umount /sys /proc
/bin/busybox mount --move /dev /new/dev
exec /bin/busybox switch_root /new /sbin/init
INIT
    chmod 755 "$i/init"
    (cd "$i" && find . | cpio -o -H newc --quiet | gzip -1) >"$1/initrd.gz"
    rm -rf "$i"
}

# --- a machine --------------------------------------------------------------------------------------------------------------------

disk() { # FILE KERNELDIR: root file system and modules on one ext4
    local root
    root=$(mktemp -d "$CACHE/disk-XXXXXX")
    chmod 755 "$root"
    tar -xf "$(rootfs)" -C "$root" --numeric-owner --xattrs
    mkdir -p "$root/lib/modules"
    cp -a "$2/lib/modules/." "$root/lib/modules/"
    rm -f "$1"
    mke2fs -q -t ext4 -m 0 -d "$root" "$1" 4G >/dev/null
    rm -rf "$root"
}

base_disk() { # prints a disk that machines copy
    local tar base
    tar=$(rootfs)
    base=$CACHE/disk-$(basename "$tar" .tar)-$kernel_suite-$kernel.img
    if [ ! -f "$base" ]; then
        disk "$base.half" "$1"
        mv "$base.half" "$base"
    fi
    echo "$base"
}

accelerator() {
    # A device that opens is no proof: a hypervisor without the processor's help (pvm) has it too, and starts no stock kernel.
    if [ "${VM_ACCEL:-}" ]; then echo "$VM_ACCEL"
    elif [ -w /dev/kvm ] && grep -qEm1 '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then echo kvm
    else echo tcg
    fi
}

boot() { # NAME
    local name=$1 k base run port accel options
    run=$CACHE/run/$name
    [ ! -e "$run/pid" ] || ! kill -0 "$(cat "$run/pid")" 2>/dev/null || die "$name runs already"
    k=$(kernel_dir)
    base=$(base_disk "$k")
    rm -rf "$run"
    mkdir -p "$run"
    cp --sparse=always "$base" "$run/disk.img"
    port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
    echo "$port" >"$run/port"
    cp "$k/version" "$run/version"
    accel=$(accelerator)
    case $accel in kvm) options=(-accel kvm -cpu host) ;; *) options=(-accel tcg,thread=multi,tb-size=512 -cpu max,la57=off) ;; esac
    qemu-system-x86_64 "${options[@]}" -smp "$cpus" -m "$memory" -display none -monitor none -serial "file:$run/console.log" \
        -kernel "$k/vmlinuz" -initrd "$k/initrd.gz" -append "root=/dev/vda rw console=ttyS0 net.ifnames=1 systemd.unified_cgroup_hierarchy=1 quiet $append" \
        -drive "file=$run/disk.img,format=raw,if=virtio,cache=unsafe" -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng \
        -netdev "user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" -device virtio-net-pci,netdev=n \
        -pidfile "$run/pid" -daemonize
    note "$name: $suite with $(cat "$run/version") on $accel, ssh on 127.0.0.1:$port"
    await "$name"
}

await() { # NAME: until systemd says that it is up
    local end=$((SECONDS + ${VM_BOOT_TIMEOUT:-420}))
    until into "$1" 'systemctl is-system-running --wait 2>/dev/null | grep -Eq "running|degraded"' </dev/null 2>/dev/null; do
        kill -0 "$(cat "$CACHE/run/$1/pid")" 2>/dev/null || { tail -20 "$CACHE/run/$1/console.log" >&2; die "$1 ended"; }
        [ $SECONDS -lt $end ] || { tail -20 "$CACHE/run/$1/console.log" >&2; die "$1 does not come up"; }
        sleep 2
    done
}

ssh_options() { # NAME
    echo "-i $CACHE/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=15 -o ServerAliveInterval=15"
}

into() { # NAME [--user U] COMMAND...
    local name=$1 user=root
    shift
    if [ "${1:-}" = --user ]; then user=$2; shift 2; fi
    # shellcheck disable=SC2046
    ssh $(ssh_options "$name") -p "$(cat "$CACHE/run/$name/port")" "$user@127.0.0.1" "$@"
}

copy_in() { # NAME FILE PLACE
    local name=$1 from=$2 to=$3
    if [ -d "$from" ]; then
        tar -C "$from" -cf - . | into "$name" "mkdir -p '$to' && tar -C '$to' -xf - --no-same-owner"
    else
        into "$name" "mkdir -p \"\$(dirname '$to')\" && cat >'$to' && chmod $(stat -c %a "$from") '$to'" <"$from"
    fi
}

end() { # NAME
    local run=$CACHE/run/$1 pid
    [ -f "$run/pid" ] || return 0
    pid=$(cat "$run/pid")
    if grep -qa "run/$1/disk.img" "/proc/$pid/cmdline" 2>/dev/null; then
        kill "$pid"
        for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    fi
    rm -f "$run/disk.img" "$run/pid"
}

verb=${1:-}
[ $# -gt 0 ] && shift
words=()
case $verb in
    run | boot)
        while [ $# -gt 0 ]; do
            case $1 in
                --suite) suite=$2; shift 2 ;;
                --kernel) kernel=$2; shift 2 ;;
                --kernel-suite) kernel_suite=$2; shift 2 ;;
                --memory) memory=$2; shift 2 ;;
                --cpus) cpus=$2; shift 2 ;;
                --append) append=$2; shift 2 ;;
                --packages) packages=$PACKAGES,$2; shift 2 ;;
                --copy) copies+=("$2"); shift 2 ;;
                --timeout) timeout=$2; shift 2 ;;
                --) shift; words+=("$@"); break ;;
                -*) die "unknown option $1" ;;
                *) words+=("$1"); shift ;;
            esac
        done
        kernel_suite=${kernel_suite:-$suite}
        [ "${#words[@]}" -eq 1 ] || die "usage: vm.sh $verb [OPTIONS] $([ "$verb" = run ] && echo SCRIPT || echo NAME)"
        ;;
esac
mkdir -p "$CACHE/run"

case $verb in
    run)
        name=run-$$
        trap 'end "$name"' EXIT
        boot "$name"
        for c in "${copies[@]}"; do copy_in "$name" "${c%%:*}" "${c#*:}"; done
        copy_in "$name" "${words[0]}" /root/script
        into "$name" "chmod 755 /root/script; exec timeout $timeout /root/script"
        ;;
    boot) boot "${words[0]}"; for c in "${copies[@]}"; do copy_in "${words[0]}" "${c%%:*}" "${c#*:}"; done ;;
    ssh) into "$@" ;;
    copy) copy_in "$@" ;;
    wait) await "$@" ;;
    stop) end "$@" ;;
    kernels) for k in "$CACHE"/kernel-*/version; do echo "$(basename "$(dirname "$k")") $(cat "$k")"; done ;;
    *) sed -n '2,27s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
