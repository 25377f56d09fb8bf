//! File inclusion: files of the host and of others, and the wrappers that PHP and Java read them through.

use super::Family;
use super::rule::{Rule, RuleSet, fair, strong};

const LISTS: &[(&str, &str)] = &[(
    "file",
    r"(?:/etc/(?:passwd|shadow|group|hosts|issue|motd|crontab|sudoers|fstab|ssh/|nginx/|apache2?/|httpd/|mysql/|php)|/proc/(?:self|version|cmdline|\d+|net)|/var/log/(?:apache2?|nginx|httpd|auth|messages|syslog|mail|secure|vsftpd)|/root/\.|/home/\w+/\.|(?:\\|/)(?:boot|win|system)\.ini|windows[\\/](?:system32|win\.ini|repair)|system32[\\/]|\.ssh/(?:id_|authorized)|\.bash_history|\.aws/credentials|\.docker/config|web-inf/|meta-inf/|\.htpasswd|wp-config\.php|/dev/(?:fd|stdin))",
)];

const RULES: &[Rule] = &[
    strong(
        &["/etc/", "/proc/", "/var/log", ".ini", ".ssh", "web-inf"],
        r"^[\w=./\\:-]{0,80}(?:/etc/(?:passwd|shadow|group|sudoers)|/proc/self/|/var/log/(?:apache2?|nginx|httpd|auth)|(?:boot|win)\.ini|\.ssh/id_|web-inf/)[\w./-]{0,80}$",
        "the path of a file that tells about the host",
    ),
    fair(
        &[
            "/etc/", "/proc/", "/var/log", "/root/", "/home/", ".ini", "system32", "windows", ".ssh", ".bash_history", ".aws", ".docker",
            "-inf/", ".htpasswd", "wp-config", "/dev/",
        ],
        r"%file%",
        "the path of a file that tells about the host",
    ),
    strong(&["php://"], r"php://(?:filter/.{0,200}(?:resource|convert|read|write)=?|input\b)", "PHP's own streams as a file"),
    fair(
        &["php://", "phar://", "zip://", "zlib", "bzip2", "expect://", "glob://", "ogg://", "rar://", "ssh2"],
        r"\b(?:php|phar|zip|rar|ogg|expect|glob|compress\.(?:zlib|bzip2|lzf|brotli|zstd)|zlib|ssh2(?:\.\w+)?)://",
        "one of PHP's wrappers as a file",
    ),
    fair(
        &["file:", "gopher:", "dict:", "ldap", "jar:", "netdoc:", "tftp:", "sftp:", "url:", "mailto:", "smb:"],
        r"(?:^|[='\x22(\s,])(?:file:/|gopher://|dict://|ldaps?://|jar:(?:https?|file|ftp):|netdoc:/|s?ftp://|tftp://|url:\w+:|smb://)",
        "an address that the server would open itself",
    ),
    fair(&["data:"], r"^\s*data:(?:text|application)/[\w.+-]+(?:;[\w=-]+)*,", "a file inside the address"),
    fair(&["data:"], r"^\s*data:(?:text/(?:plain|html|x-php))?;base64,", "a file inside the address"),
    fair(&["ftp:"], r"^\s*ftps?://", "a file of another host"),
    fair(&["://"], r"^\s*(?:https?|ftps?)://[^/?#]*(?:%2f|/?[^/]*)@", "an address with another host behind an @"),
    fair(
        &["://"],
        r"^\s*(?:https?|ftps?)://[^?]{1,300}\.(?:php\d?|phtml|txt|sh|pl|py|jspx?|aspx?|cgi|exe|ps1|bat|gif|inc|dat)\??$",
        "a program of another host",
    ),
    fair(&["://"], r"^\s*(?:https?|ftps?)://[^?#]{1,300}\?+$", "an address with a question mark that cuts off what the program adds"),
];

pub(super) const SET: RuleSet = RuleSet { family: Family::FileInclusion, lists: LISTS, rules: RULES };
