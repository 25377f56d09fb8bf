//! Shells, interpreters and tools that run, read or write whatever they are told to: with a set-uid bit each of them gives its owner away.
//! The names are those of GTFOBins (gtfobins.github.io, function SUID), without what distributions ship set-uid or set-gid: su, sudo,
//! mount, passwd, pkexec, ping, ssh-agent, screen, crontab, at and their like.

/// Sorted. A version at the end (`python3.11`) and a variant (`vim.basic`) do not count.
const NAMES: &[&str] = &[
    "ansible-playbook", "apt", "apt-get", "ar", "ash", "awk", "base32", "base64", "bash", "bash-static", "bpftrace", "bundle", "busybox",
    "bzip", "capsh", "cat", "chattr", "chgrp", "chmod", "chown", "chroot", "comm", "composer", "cp", "cpio", "cpulimit", "csh", "csplit",
    "csvtool", "curl", "cut", "dash", "dd", "debugfs", "dialog", "diff", "docker", "dpkg", "ed", "efax", "emacs", "env", "expand",
    "expect", "file", "find", "fish", "flock", "fmt", "fold", "gawk", "gcc", "gcore", "gdb", "gem", "genisoimage", "gimp", "git", "grep",
    "gzip", "hd", "head", "hexdump", "highlight", "iconv", "install", "ionice", "ip", "irb", "ispell", "java", "jjs", "join", "journalctl",
    "jq", "jrunscript", "ksh", "ksh93", "ld", "less", "ln", "logsave", "look", "lua", "luajit", "make", "mawk", "mksh", "more", "mv",
    "mysql", "nano", "nasm", "nawk", "nc", "nc.openbsd", "nc.traditional", "ncat", "nft", "nice", "nl", "nm", "nmap", "node", "nodejs",
    "nohup", "nsenter", "od", "openssl", "original-awk", "paste", "perl", "pg", "php", "php-cgi", "pic", "pip", "podman", "pr", "pry",
    "psql", "ptx", "python", "rbash", "readelf", "restic", "rev", "rlwrap", "rm", "rpm", "rsync", "ruby", "run-parts", "rview", "rvim",
    "scp", "script", "sed", "setarch", "setsid", "sh", "shuf", "socat", "sort", "split", "sqlite", "ss", "sshpass", "start-stop-daemon",
    "stdbuf", "strace", "strings", "sysctl", "systemctl", "tac", "tail", "tar", "taskset", "tbl", "tclsh", "tcsh", "tee", "time",
    "timeout", "tmux", "troff", "truncate", "ul", "unexpand", "uniq", "unshare", "unzip", "update-alternatives", "vi", "view", "vim",
    "vimdiff", "vipw", "watch", "wc", "wget", "wish", "xargs", "xdotool", "xmodmap", "xmore", "xxd", "xz", "yash", "zip", "zsh",
    "zsh-static", "zsoelim", "zypper",
];

/// Whether a file of this name does so.
pub(super) fn runs_or_copies_anything(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let Ok(name) = std::str::from_utf8(name) else { return false };
    // The dynamic linker runs the program that it is told to.
    if name.starts_with("ld-linux") || name.starts_with("ld-musl") || name.starts_with("ld.so") {
        return true;
    }
    let is_known = |name: &str| NAMES.binary_search(&name).is_ok();
    let unversioned = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let plain = name.split('.').next().unwrap_or_default();
    is_known(name) || is_known(unversioned) || is_known(plain.trim_end_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_versions_do_not_count() {
        assert!(NAMES.is_sorted(), "binary search");
        for name in ["python3.11", "perl5.36.0", "php8.2", "vim.basic", "lua5.4", "ksh93", "ld-linux-x86-64.so.2", "sqlite3", "bzip2"] {
            assert!(runs_or_copies_anything(format!("/usr/bin/{name}").as_bytes()), "{name}");
        }
        for name in ["su", "sudo", "mount", "at", "screen", "pkexec", "dotlockfile", "ssh-agent", "Xorg.wrap", "exim4", "mount.nfs"] {
            assert!(!runs_or_copies_anything(format!("/usr/bin/{name}").as_bytes()), "{name}");
        }
    }
}
