//! Command injection: shell syntax that begins another command, on Unix and on Windows.

use super::Family;
use super::rule::{Form, Rule, RuleSet, fair, strong};

const LISTS: &[(&str, &str)] = &[
    // Names that mean a command and no word of English.
    (
        "sure",
        r"(?:wget|curl|lwp-download|lwp-request|ncat|netcat|socat|zsh|ksh|tcsh|csh|busybox|ls|ll|whoami|uname|ifconfig|ipconfig|netstat|nslookup|traceroute|ping6?|ps|pstree|printenv|mkdir|rmdir|chmod|chown|chgrp|chattr|gunzip|bsdtar|bsdcat|useradd|adduser|usermod|sudo|aptitude|apt-get|crontab|nohup|setsid|pkill|killall|lsof|lsblk|lscpu|dmesg|systemctl|mysqldump|getent|xxd|hexdump|printf|egrep|zgrep|zcat|gawk|lwp-mirror|tftp|sftp|scp|rsync|sendmail|chroot|dpkg|yum|dnf|rpm|sh|bash|dash|nc|awk|sed|grep|pwd|7z[ar]?|agetty|arj|base32|basenc|bpftrace|byebug|bzcat|bzdiff|bzegrep|bzless|bzmore|capsh|chgpasswd|chsh|cksum|cobc|cpan|cpio|cpulimit|csplit|csvtool|cupsfilter|dmsetup|dnsdomainname|dvips|easy_install|exiftool|facter|fdisk|fping|gcore|groupmod|hping3|htop|iconv|iftop|ionice|irb|jexec|jq|jrunscript|ksshell|lastlog|ldconfig|lftp|loginctl|logsave|losetup|ltrace|lz4\w*|lzma\w*|lzcat|mawk|mktemp|msgfilter|mtr|mysqladmin|mysqlsh|nasm|nawk|nft|nmap|nroff|nsenter|openvt|opkg|pdflatex|pdksh|pftp|pidstat|pigz|pkexec|popd|pry|psed|psftp|ptx|pushd|rbash|readelf|rlogin|rlwrap|rpmdb|rpmquery|rsh|run-parts|rview|rvim|sash|scrot|shuf|slsh|smbclient|soelim|sshpass|ssh-keygen|start-stop-daemon|stdbuf|stty|sysctl|taskset|tasksh|tbl|tclsh|tcpdump|tdbtool|tmate|troff|uncompress|unexpand|unlzma|unpigz|unrar|unshare|unxz|unzstd|uudecode|uuencode|vigr|vimdiff|vipw|virsh|xelatex|xetex|xmodmap|xterm|xz\w*|zdiff|zipdetails|zless|zlogin|zmore|zsoelim|zstd\w*|ansible(?:-\w+)?|chef-\w+|flock|gcc[\d.-]*|c[89]9|rmt|visudo|cscli|pipx|pip3|ssh-copy-id|uconv|strace|ltrace|gdb|perf|zypper)",
    ),
    // Those, and the ones that are.
    (
        "cmd",
        r"(?:wget|curl|fetch|lynx|lwp-[a-z]+|aria2c|nc|ncat|netcat|socat|telnet|(?:ba|z|k|c|tc|da|a)?sh|busybox|python[\d.]*|perl|ruby|php\d?|lua|node|ls|ll|cat|tac|nl|less|more|tail|head|od|xxd|strings|g?awk|sed|[ez]?grep|find|xargs|id|whoami|uname|hostname|if?config|ipconfig|netstat|arp|route|nslookup|dig|ping6?|traceroute|ps|pstree|env|printenv|export|pwd|cd|mkdir|rmdir|rm|mv|cp|ln|touch|ch(?:mod|own|grp|attr|root)|tar|gzip|gunzip|bzip2|bsd(?:tar|cat)|unzip|zip|dd|base64|crontab|at|nohup|setsid|p?kill|killall|user(?:add|mod|del)|adduser|passwd|sudo|su|doas|ssh|scp|sftp|rsync|t?ftp|gcc|cc|make|apt(?:-get|itude)?|yum|dnf|apk|dpkg|rpm|pip3?|npm|gem|echo|printf|eval|exec|source|sleep|timeout|time|watch|mount|umount|df|du|free|lsof|lscpu|lsblk|dmesg|systemctl|service|reboot|shutdown|halt|mysql(?:dump)?|psql|sqlite3|docker|kubectl|openssl|git|svn|vim?|nano|ed|screen|tmux|script|strace|gdb|alias|type|which|whereis|locate|finger|last|w|who|uptime|history|getent|tee|sort|uniq|cut|tr|rev|wc|diff|comm|paste|split|expr|read|mail|sendmail|7z[ar]?|agetty|arj|base32|basenc|bpftrace|byebug|bzcat|bzdiff|bzegrep|bzless|bzmore|capsh|chgpasswd|chsh|cksum|cobc|cpan|cpio|cpulimit|csplit|csvtool|cupsfilter|dmsetup|dnsdomainname|dvips|easy_install|exiftool|facter|fdisk|fping|gcore|groupmod|hping3|htop|iconv|iftop|ionice|irb|jexec|jq|jrunscript|ksshell|lastlog|ldconfig|lftp|loginctl|logsave|losetup|ltrace|lz4\w*|lzma\w*|lzcat|mawk|mktemp|msgfilter|mtr|mysqladmin|mysqlsh|nasm|nawk|nft|nmap|nroff|nsenter|openvt|opkg|pdflatex|pdksh|pftp|pidstat|pigz|pkexec|popd|pry|psed|psftp|ptx|pushd|rbash|readelf|rlogin|rlwrap|rpmdb|rpmquery|rsh|run-parts|rview|rvim|sash|scrot|shuf|slsh|smbclient|soelim|sshpass|ssh-keygen|start-stop-daemon|stdbuf|stty|sysctl|taskset|tasksh|tbl|tclsh|tcpdump|tdbtool|tmate|troff|uncompress|unexpand|unlzma|unpigz|unrar|unshare|unxz|unzstd|uudecode|uuencode|vigr|vimdiff|vipw|virsh|xelatex|xetex|xmodmap|xterm|xz\w*|zdiff|zipdetails|zless|zlogin|zmore|zsoelim|zstd\w*|ansible(?:-\w+)?|chef-\w+|flock|gcc[\d.-]*|c[89]9|rmt|visudo|cscli|pipx|pip3|ssh-copy-id|uconv|strace|ltrace|gdb|perf|zypper)",
    ),
    ("sep", r"(?:;|\|\|?|&&?|\n|`|\$\(|[<>]\()"),
    ("arg", r#"(?:--?\w|/\w|\.\.?/|~/|https?:|\$\w|\$\{|['"*]|[\w.-]+/)"#),
];

const RULES: &[Rule] = &[
    fair(
        &[";", "|", "&", "\n", "`", "$(", "<(", ">("],
        r"%sep%\s*(?:[a-z_]+=\S*\s+)?(?:/[\w/]{1,40}/)?%sure%(?:\s|$|[;|&<>`)/$])",
        "a separator of the shell and a command",
    ),
    fair(
        &[";", "|", "&", "\n", "`", "$(", "<(", ">("],
        r"%sep%\s*(?:[a-z_]+=\S*\s+)?(?:/[\w/]{1,40}/)?%cmd%\s+%arg%",
        "a separator of the shell and a command with an argument",
    ),
    fair(&["id"], r"(?:`|\$\(|&&|\|\||[;|]\s)\s*id\s*(?:$|[;|`)&])", "a separator of the shell and `id`"),
    fair(
        &["/", "-", "$", "'", "\"", "."],
        r#"^\s*['"(]?%cmd%['"]?\s+(?:--?[a-z]+\b|/\w|\.\.?/|https?:|\$\w|[\w-]+\s+--?[a-z])"#,
        "a command with an argument",
    ),
    fair(
        &["time", "sudo", "nohup", "env", "exec", "timeout", "busybox", "xargs", "nice", "setsid", "command", "builtin", "eval", "watch"],
        r#"(?:^|[;|&'"`(])\s*(?:time|sudo|nohup|env|exec|timeout\s+\d+\w?|busybox|xargs|nice|setsid|command|builtin|eval|watch)\s+(?:--?\w+\s+)*(?:%sure%|python[\d.]*|perl|ruby|php)(?:\s|$|[;|])"#,
        "a command that starts another",
    ),
    fair(
        &["sh ", "/sh", "bash", "/dash", "/zsh", "/ksh"],
        r"\b(?:ba|z|k|c|da|a|tc)?sh\s*(?:\$\w*\s*)?(?:-c\b|-i\b|<)|/bin/(?:ba|z|k|c|da|a)?sh\b",
        "a shell",
    ),
    strong(&["/dev/tcp", "/dev/udp"], r"/dev/(?:tcp|udp)/", "a connection opened by a shell"),
    strong(&["ifs"], r"\$\{?ifs\b", "a space that filters do not see: $IFS"),
    strong(
        &["/etc/passwd", "/etc/shadow", "/proc/self"],
        r"(?:;|\||&&|`|\$\()\s*(?:cat|head|tail|more|less|tac|nl|od|strings)\s+(?:-\w+\s+)?(?:/etc/(?:passwd|shadow)|/proc/self)",
        "a command that reads the accounts of the host",
    ),
    strong(
        &["chmod"],
        r"(?:wget|curl|fetch)\s[^;|&]{1,300}(?:;|&&|\|\|)\s*chmod\s+(?:\+x|0?7\d\d)\s",
        "a program downloaded and made executable",
    ),
    strong(&["nc ", "ncat ", "netcat "], r"\b(?:nc|ncat|netcat)\s+(?:-\w+\s+|[\d.]+\s+\d+\s+)*-\w*e\w*\s+\S", "a shell behind netcat"),
    fair(&["`", "$("], r"(?:`|\$\()\s*(?:%cmd%)\b[^`)]{0,300}(?:`|\))", "a command in place of a value"),
    fair(&["alias"], r"\balias\s+(?:[+-]\w\s+)?\w+=", "a new name for a command"),
    fair(&["`"], r"[a-z]``[a-z]", "a command's name broken up").on(Form::Cased),
    fair(
        &[",}", "{"],
        r"\{[a-z/?$'][^{}\s:]{0,200},\}|\{,[^{}:]{1,200}\}|[a-z]\{[a-z][^{}\s:]{0,80},[^{}\s:]{1,80}\}[a-z]|\{[a-z]+,--?[a-z]+(?:,[^{}\s:]{0,80})?\}",
        "a command written as a brace expansion",
    ),
    fair(&["?"], r"/[a-z?*]*\?[a-z?*]*/[a-z?*]*\?", "a path of wildcards"),
    fair(&[">"], r"[;|&)]\s*\d?>{1,2}\s*(?:/|\$\w|~/|&\d)", "output of a command sent elsewhere"),
    fair(
        &["'", "\"", "\\", "$@", "$*", "`", "^"],
        r#"(?:^|[;|&`(]\s*|\b(?:time|sudo|env|exec)\s+)%cmd%(?:\s|$)"#,
        "a command whose name is broken up by quotes",
    )
    .on(Form::Unquoted),
    fair(&["'", "\""], r#"^\s*(?:'[a-z]{2,10}'|"[a-z]{2,10}")\s+(?:/\w|-\w)"#, "a command in quotes with an argument"),
    fair(&["cmd", "powershell", "pwsh"], r"\bcmd(?:\.exe)?\s*/[ckr]\b|\b(?:powershell|pwsh)(?:\.exe)?\s+-\w", "a shell of Windows"),
    fair(
        &[
            "certutil", "bitsadmin", "iwr", "iex", "invoke-", "rundll32", "regsvr32", "mshta", "wmic", "net ", "tasklist", "systeminfo",
            "dir ", "type ", "copy ", "bcd", "reg ", "schtasks", "vssadmin", "cscript", "del ",
        ],
        r"(?:^|[;|&\n]\s*)(?:certutil(?:\.exe)?\s+-\w|bitsadmin\s+/|iwr\s+\S+|invoke-(?:webrequest|expression|restmethod)\s|iex\s*[(\s]|rundll32(?:\.exe)?\s|regsvr32(?:\.exe)?\s|mshta(?:\.exe)?\s|wmic\s+\w|net\s+(?:user|localgroup|view|use)\b|tasklist\b|systeminfo\b|dir\s+(?:/\w|c:)|type\s+[c%]|copy\s+c:|bcd(?:boot|edit)\s|reg\s+(?:add|query|delete)\s|schtasks\s+/|vssadmin\s|cscript\s|del\s+/)",
        "a command of Windows",
    ),
    fair(
        &[";", "|", "&", "`", "\n"],
        r"^\s*[;|&`\n]+\s*(?:/[\w/]{1,40}/)?%cmd%(?:\s|$|[;|&`<>/$])",
        "a value that begins as the shell's next command",
    ),
    fair(
        &["&&", "||", "`", "$("],
        r"(?:&&|\|\||`|\$\()\s*(?:/[\w/]{1,40}/)?%cmd%(?:\s|$|[;|&`)<>])",
        "a separator of the shell and a command",
    ),
    fair(&["$(", "<(", ">("], r"\$\([^)]{1,200}\)?|(?:^|[\s;|&'\x22])[<>]\(\s*[\w'\x22/]", "a command in place of a value"),
    fair(&["bin/", "sbin/"], r"(?:^|[/\s;|&`'\x22(=])(?:usr/(?:local/)?)?s?bin/\w", "a program of the host"),
    fair(
        &[
            "ls", "ll", "wget", "curl", "ps", "uname", "netstat", "config", "chmod", "chown", "mkdir", "sudo", "nc", "ping", "grep", "awk",
            "sed", "bash", "lookup", "apt", "kill", "trace", "base",
        ],
        r"^\s*%sure%(?:\s+\w{1,80}){0,3}\s+\w*[./:=@~*\d-][\w./:=@~*-]{0,80}(?:\s+[\w./:=@~*-]{1,80}){0,6}\s*$",
        "a command with an argument",
    ),
    fair(&["~"], r"^\s*~(?:[+-]\d*|\d+)\s*(?:/|$)", "a directory as a shell abbreviates it"),
    fair(&["!"], r"^\s*!(?:!|-?\d+|[a-z]{2,20}:|\?\w+\??)(?::[\w^$*-]+)*\s*$", "an earlier command of the shell's history"),
    strong(&["(){"], r"\w*:?\(\)\{\s*\S{0,20}\|\S{0,20}&\s*\}", "a function that starts itself without end (a fork bomb)"),
    fair(&["() {", "(){", "():"], r"(?:^|[;\s])[\w:]{1,20}\s*\(\)\s*\{", "a function of the shell"),
    fair(
        &[".shell", ".system", ".import", ".load", ".read"],
        r"(?:^|[;\n'\x22]\s*)\.(?:shell|system|import|load|read|open|once|output)\b",
        "a command of SQLite's shell",
    ),
    fair(
        &["*", "[", "?"],
        r"(?:^|[\s;|&'\x22=])/?(?:[\w-]*[?*\[][\w?*\]\[-]*/)+[\w-]*[?*\[]|(?:/[\w-]*[?*\[][\w?*\]\[-]*){2,}",
        "a path of wildcards",
    ),
    fair(
        &["$"],
        // A whole value such as `x$user_summary` is the name of a table (MySQL, sys schema).
        r"[a-z/]\$[a-z_]\w{0,20}[/\s;|&]|/\S{0,200}[a-z/]\$[a-z_]\w{0,20}$|[;|&]\s*\$[a-z_]\w{0,20}\s+[a-z]",
        "a variable of the shell that breaks up a command",
    ),
    fair(
        &["-"],
        r"\b(?:get|set|new|remove|invoke|start|stop|add|import|export|out|select|enable|disable|register|copy|move|clear)-(?:childitem|content|item(?:property)?|process|service|webrequest|expression|command|object|location|variable|alias|host|wmiobject|ciminstance|restmethod|module|acl|localuser|eventlog|history|credential|job|computerinfo|psdrive|executionpolicy|hotfix|netipaddress|file|null|string)\b",
        "a command of PowerShell",
    ),
    fair(
        &["&", "|", ";"],
        r"(?:^\s*[;|&]|[&|;]{1,2})\s*(?:arp|assoc|at|attrib|bcd(?:boot|edit)|bitsadmin|cacls|certutil|chcp|chkdsk|cipher|cmd|cmdkey|cmstp|compact|control|copy|cscript|del|dir|diskpart|dnscmd|driverquery|dsquery|erase|esentutl|expand|findstr|forfiles|format|fsutil|ftp|getmac|gpresult|icacls|installutil|ipconfig|klist|makecab|mavinject|mklink|move|msbuild|msdt|mshta|msiexec|nbtstat|net|netsh|netstat|nltest|nslookup|ntdsutil|odbcconf|openfiles|pathping|ping|powershell|qwinsta|reg|regasm|regedit|regsvcs|regsvr32|ren|replace|robocopy|route|runas|rundll32|sc|schtasks|set|sfc|shutdown|start|subst|systeminfo|takeown|taskkill|tasklist|timeout|tracert|tree|type|ver|vol|vssadmin|w32tm|wevtutil|where|whoami|winrm|wmic|wscript|wsl|xcopy)(?:\.exe|\.com)?\s+(?:/\w|[<>%]|[a-z]:|\\\\|-\w|\w+\.\w)",
        "a command of Windows",
    ),
    fair(
        &["&", "|", ";"],
        r"(?:^\s*[;|&]|[&|;]{1,2})\s*(?:assoc|bcd(?:boot|edit)|bitsadmin|cacls|certutil|chkdsk|cmd|cmdkey|cmstp|cscript|diskpart|dnscmd|driverquery|dsquery|esentutl|findstr|forfiles|fsutil|getmac|gpresult|icacls|installutil|ipconfig|klist|makecab|mavinject|mklink|msbuild|msdt|mshta|msiexec|nbtstat|netsh|netstat|nltest|nslookup|ntdsutil|odbcconf|pathping|powershell|pwsh|qwinsta|regasm|regedit|regsvcs|regsvr32|robocopy|rundll32|schtasks|systeminfo|takeown|taskkill|tasklist|tracert|vssadmin|w32tm|wevtutil|whoami|winrm|wmic|wscript|xcopy)(?:\.exe|\.com)?(?:\s|$|[<>|&/])",
        "a command of Windows",
    ),
    fair(
        &["-"],
        r#"(?:[;|`]|&&|\$\()\s*\\?['"]?[a-z][\w.-]{1,24}['"]?\s+['"]?--?[a-z]"#,
        "a separator of the shell and a command with an option",
    ),
    fair(&[" --"], r#"^\s*['"]?[a-z][\w.-]{1,24}['"]?(?:\s+[\w./-]{1,40})?\s+--[a-z][a-z-]{2,}(?:[=\s]|$)"#, "a command with an option"),
    fair(&["\\"], r"^\s*\\[a-z]{2,12}(?:\s|$)", "a command with a backslash before it, which no alias hides"),
    fair(&[",-"], r"\{[^{}\s]{1,60},--?\w[^{}\s]{0,80}\}", "a command written as a brace expansion"),
    fair(&["alias"], r#"\balias\s+['"]?[\w.-]+['"]?="#, "a new name for a command"),
    fair(
        &["who", "id", "ls", "ps"],
        r"\b(?:time|strace|nohup|nice|env|sudo|flock\s.{0,20})\s+(?:who(?:ami)?|id|ls|ps)\s*$",
        "a command that starts another",
    ),
    fair(
        &["install", "update", "upgrade", "start", "stop", "status", "list", "run", "show", "dump", "clone", "push", "pull", "exec"],
        r"^\s*(?:pip[\dx]?|npm|gem|apt(?:-get)?|yum|dnf|apk|git|svn|docker|kubectl|systemctl|service|cargo|go|composer|yarn|helm|snap|brew|conda)\s+(?:install|update|upgrade|re?start|stop|status|list|run|show|dump|clone|push|pull|exec|ps)\b",
        "a command with an argument",
    ),
    fair(
        &["python", "perl", "ruby", "php", "node", "lua", "rc ", "sh ", "source"],
        r"^\s*(?:python\d[\d.]*\s+[\w./-]+|(?:python|perl|ruby|php\d?|node|lua|rc|[a-z]{0,3}sh|source)\s+[\w./-]*(?:\.(?:sh|py|pl|rb|php|js|lua)|/\w+))(?:\s|$)",
        "an interpreter and a script",
    ),
    fair(&["$()", "``"], r"[a-z](?:\$\(\)|``)", "a command's name broken up"),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::CommandInjection, lists: LISTS, rules: RULES };
