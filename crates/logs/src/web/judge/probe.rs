//! Searches for what was left lying about: secrets and backups, administration pages, scripts of earlier intruders.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::rule::Strength;
use super::{Family, Findings, Place};
use crate::web::decode::decode;

/// Hidden files and directories that hold secrets; the beginning of a name is enough.
const HIDDEN: &[&[u8]] = &[
    b".env", b".git", b".svn", b".hg", b".bzr", b".aws", b".ssh", b".htpasswd", b".htaccess", b".ds_store", b".npmrc", b".bash_history",
    b".mysql_history", b".vscode", b".idea", b".docker", b".kube", b".pgpass", b".netrc", b".s3cfg", b".terraform", b".travis.yml",
    b".circleci", b".my.cnf", b".azure", b".boto", b".ftpconfig", b".remote-sync", b".config/", b".bashrc", b".profile",
    b".python_history", b".subversion",
];
/// What stands in repositories for everybody to see, and is no secret wherever it lies.
const OPEN: &[&[u8]] = &[b".gitignore", b".gitattributes", b".gitmodules", b".gitkeep", b".github", b".gitlab", b".gitea"];
/// Parts of a path that show a forge, which serves such files as the source that they are.
const FORGE: &[&[u8]] = &[b"/blob/", b"/raw/", b"/src/", b"/tree/", b"/commit", b"/-/", b"/blame/", b"/edit/", b"/contents/"];
/// What is put behind the name of a program that is about to be changed.
const LEFT_BEHIND: &[&[u8]] = &[
    b".php~", b".php.bak", b".php.old", b".php.save", b".php.swp", b".php.orig", b".php.txt", b".php.1", b".php_bak", b".php.zip",
    b".inc.bak", b".py.bak", b".yml.bak", b".json.bak", b".config.bak", b".swp", b".sql.gz", b".sql.zip", b".sql.bz2",
];
/// Files by their whole name.
const SECRET_FILES: &[&[u8]] = &[
    b"id_rsa", b"id_dsa", b"id_ed25519", b"id_ecdsa", b"wp-config.txt", b"phpinfo.php", b"info.php", b"php.ini", b"web.config",
    b"appsettings.json", b"credentials.json", b"secrets.json", b"secrets.yml", b"secrets.yaml", b"docker-compose.yml",
    b"docker-compose.yaml", b"dockerfile", b"database.yml", b"settings.py", b"parameters.yml", b"localsettings.php.bak",
    b"sftp-config.json", b"sftp.json", b"passwd", b"shadow", b"heapdump", b"credentials", b"service-account.json", b"firebase.json",
    b"terraform.tfstate", b"config.inc.php.bak",
];
const BACKUP_STEMS: &[&[u8]] = &[
    b"backup", b"backups", b"bak", b"dump", b"db", b"database", b"site", b"www", b"wwwroot", b"public_html", b"htdocs", b"old", b"sql",
    b"mysql", b"db_backup", b"dbdump", b"website", b"wordpress", b"wp",
];
const BACKUP_ENDS: &[&[u8]] = &[
    b".zip", b".sql", b".tar.gz", b".tgz", b".tar", b".rar", b".7z", b".gz", b".bz2", b".tar.bz2", b".bak", b".sql.gz", b".sqlite", b".db",
];
/// Scripts of known intruders, without their ending.
const SHELLS: &[&[u8]] = &[
    b"c99", b"r57", b"wso", b"wso2", b"b374k", b"alfa", b"alfanew", b"alfashell", b"alfacgiapi", b"shell", b"webshell", b"cmd",
    b"leafmailer", b"priv8", b"indoxploit", b"gel4y", b"backdoor", b"xleet", b"0byte", b"simple-backdoor", b"php-backdoor", b"sh3ll",
    b"weevely", b"marijuana", b"wp-22", b"1337", b"shell20211028", b"doc_shell", b"sym403", b"phpspy", b"phpshell", b"filesman",
    b"k2ll33d", b"bala", b"lufix",
];
/// Scripts of known intruders by a name that honest ones have too: `autoload_classmap.php` is Composer's own.
const SHELLS_BY_COMMON_NAMES: &[&[u8]] =
    &[b"mini", b"leaf", b"angel", b"mar", b"upl", b"uploader", b"moon", b"xx", b"radio", b"autoload_classmap", b"fw", b"ty", b"bypass"];
/// What a page loads: no administration page by itself, whatever directory it lies in.
const ASSET_ENDS: &[&[u8]] =
    &[b".js", b".mjs", b".css", b".map", b".png", b".jpg", b".jpeg", b".gif", b".svg", b".ico", b".webp", b".woff", b".woff2", b".ttf"];
const SCRIPT_ENDS: &[&[u8]] = &[b".php", b".phtml", b".php5", b".php7", b".asp", b".aspx", b".jsp", b".jspx", b".cgi", b".pl"];
/// Directories of files that visitors may put there, in which no script has a place.
const UPLOADS: &[&[u8]] =
    &[b"/wp-content/uploads/", b"/.well-known/", b"/images/", b"/sites/default/files/", b"/media/upload", b"/userfiles/"];
/// Administration pages, by a whole part of the path.
const PANELS: &[&[u8]] = &[
    b"phpmyadmin", b"pma", b"myadmin", b"phpmyadmin2", b"mysql-admin", b"mysqladmin", b"dbadmin", b"sqladmin", b"sqlmanager",
    b"phppgadmin", b"adminer.php", b"adminer", b"wp-login.php", b"wp-admin", b"xmlrpc.php", b"wlwmanifest.xml", b"administrator",
    b"admin.php", b"admin", b"manager", b"jenkins", b"solr", b"zabbix", b"cacti", b"nagios", b"roundcube", b"webmail", b"owa", b"cpanel",
    b"webmin", b"plesk", b"geoserver", b"druid", b"jmx-console", b"web-console", b"invoker", b"cgi-bin", b"console", b"actuator",
    b"grafana", b"kibana", b"portainer", b"_profiler", b"telescope", b"server-status", b"scripts", b"fckeditor", b"kcfinder", b"elfinder",
    b"joomla", b"magento", b"typo3", b"drupal", b"user.php", b"login.action", b"dana-na", b"remote", b"global-protect", b"vpn", b"+cscoe+",
    b"citrix", b"sdk", b"ews", b"setup.php", b"install.php",
];
/// Ways into products with known holes, wherever they stand in a path. No visitor of a site goes there.
const EXPLOITS: &[&[u8]] = &[
    b"phpunit/src/util/php/eval-stdin", b"/boaform/", b"/gponform/", b"/hnap1", b"/_ignition/execute-solution", b"/wls-wsat/",
    b"/setup.cgi", b"/cgi-bin/luci", b"/manager/html", b"/actuator/gateway", b"/actuator/env", b"/actuator/heapdump", b"/jolokia/",
    b"/solr/admin/", b"/_all_dbs", b"/debug/pprof", b"/remote/fgt_lang", b"/dana-na/../", b"/vpn/../", b"/tmui/login.jsp",
    b"/hudson/script", b"/script/eval", b"/shell?cd", b"/goform/", b"/cgi-bin/.%", b"/containers/json", b"/v1.16/version",
    b"/api/jsonws/invoke", b"/autodiscover/autodiscover.json", b"/ecp/current/", b"/telescope/requests", b"/evox/about",
    b"/nmaplowercheck", b"/trinity.txt.bak", b"/nice%20ports", b"/sitecore/shell",
];
/// Names of parameters through which a web shell takes its command.
const COMMAND_NAMES: &[&[u8]] = &[b"cmd", b"exec", b"command", b"execute", b"shell", b"system", b"run", b"c", b"x"];
const COMMANDS: &[&[u8]] = &[
    b"id", b"whoami", b"ls", b"cat", b"uname", b"pwd", b"ifconfig", b"ipconfig", b"dir", b"wget", b"curl", b"ps", b"netstat", b"phpinfo",
    b"w",
];

/// Nearly all begin with a slash, as every part of a path does: looking for that first would only cost.
static WAYS_IN: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).prefilter(false).build(EXPLOITS).ok());

fn small(path: &[u8]) -> Cow<'_, [u8]> {
    if path.contains(&b'%') {
        Cow::Owned(decode(path, false).lower)
    } else if path.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}

/// Whether a text has one of these somewhere.
fn has_any(text: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| memchr::memmem::find(text, word).is_some())
}

/// Whether a path leads into a repository of a forge: behind its owner and its name.
fn is_in_a_forge(path: &[u8]) -> bool {
    FORGE.iter().any(|word| {
        memchr::memmem::find_iter(path, word).any(|at| {
            let before = path.get(..at).unwrap_or_default();
            before.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count() >= 2
        })
    })
}

fn without_end<'a>(name: &'a [u8], ends: &[&[u8]]) -> Option<&'a [u8]> {
    ends.iter().filter_map(|end| name.strip_suffix(*end)).min_by_key(|stem| stem.len())
}

/// Whether a path, without its query, names a script by its ending.
pub fn is_script(path: &[u8]) -> bool {
    without_end(path, SCRIPT_ENDS).is_some()
}

/// Looks at a path, and at the query of a script. `status` tells a page that is here from one that is searched for.
pub(super) fn look(path: &[u8], query: &[u8], status: Option<u16>, findings: &mut Findings) {
    let path = small(path);
    // 400, 401 and 403 are answers of a page that is here: the request is incomplete, or asks for a name, or for rights.
    let missing = status.is_some_and(|status| matches!(status, 404 | 410));
    let place = || (Place::Path, 0..path.len());
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if let Some((why, strength)) = secret(&path, last, missing) {
        // Of a weak one, what was looked for says more than where: an old page may be missing in many places.
        findings.add(Family::SecretsProbe, strength, why, place(), if strength == Strength::Strong { &path } else { last });
    }
    if let Some(stem) = without_end(last, SCRIPT_ENDS) {
        if SHELLS.contains(&stem) && (missing || stem.len() > 3 || status.is_none()) {
            findings.add(Family::Webshell, Strength::Strong, "a script by the name of a known web shell", place(), &path);
        } else if SHELLS_BY_COMMON_NAMES.contains(&stem) && missing {
            findings.add(Family::Webshell, Strength::Fair, "a script by the name of a known web shell", place(), &path);
        } else if has_any(&path, UPLOADS) {
            findings.add(Family::Webshell, Strength::Fair, "a script where visitors' files lie", place(), &path);
        }
        if takes_command(query) {
            findings.add(Family::Webshell, Strength::Fair, "a command of a shell for a script", (Place::Query, 0..query.len()), query);
        }
    }
    if WAYS_IN.as_ref().is_some_and(|ways| ways.is_match(&*path)) {
        findings.add(Family::PanelProbe, Strength::Strong, "a way into a product with a known hole", place(), &path);
    } else if missing
        && without_end(last, ASSET_ENDS).is_none()
        && let Some(panel) = path.split(|byte| *byte == b'/').find(|part| PANELS.contains(part))
    {
        findings.add(Family::PanelProbe, Strength::Fair, "an administration page that is not here", place(), panel);
    }
}

fn secret(path: &[u8], last: &[u8], missing: bool) -> Option<(&'static str, Strength)> {
    if let Some(at) = memchr::memmem::find(path, b"/.") {
        let hidden = path.get(at + 1..).unwrap_or_default();
        let is_hidden = |part: &[u8]| HIDDEN.iter().any(|name| part.starts_with(name)) && !OPEN.iter().any(|name| part.starts_with(name));
        let found = is_hidden(hidden) || path.split(|byte| *byte == b'/').any(is_hidden);
        if found && !is_in_a_forge(path) {
            return Some(("a hidden file in which secrets lie", Strength::Strong));
        }
    }
    // What a page loads is none of what follows.
    if last.is_empty() || without_end(last, ASSET_ENDS).is_some() {
        return None;
    }
    if LEFT_BEHIND.iter().any(|end| last.ends_with(end)) {
        return Some(("a copy of a program that was left behind", Strength::Strong));
    }
    if SECRET_FILES.contains(&last) && (missing || path.len() == last.len() + 1) && !is_in_a_forge(path) {
        return Some(("a file in which secrets lie", Strength::Fair));
    }
    let at_root = path.len() == last.len() + 1;
    if (missing || at_root) && without_end(last, BACKUP_ENDS).is_some_and(|stem| BACKUP_STEMS.contains(&stem)) {
        return Some(("a backup that was left behind", Strength::Fair));
    }
    None
}

/// Whether a parameter that web shells use begins with a command.
fn takes_command(query: &[u8]) -> bool {
    query.split(|byte| *byte == b'&').take(16).any(|parameter| {
        let equals = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
        let (name, value) = parameter.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        let end = value.iter().position(|byte| matches!(byte, b'+' | b'%' | b';' | b'|' | b'(')).unwrap_or(value.len());
        COMMAND_NAMES.contains(&name) && COMMANDS.contains(&value.get(..end).unwrap_or_default())
    })
}
