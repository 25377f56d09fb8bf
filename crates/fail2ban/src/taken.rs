//! The jails that were taken over, as a file of ours (`fail2ban.toml`): everything filled in, so that fail2ban itself may go.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::filter::Filter;
use super::import::Import;
use super::jail::{Jail, Source, filter_of};
use super::problem::Problem;
use super::spec::FilterSpec;

/// Jails of one file. Debian's package has 92, of which hosts enable a few.
const MAX_JAILS: usize = 100;
/// Bytes of a jail's name.
const MAX_NAME: usize = 64;
/// The longest time, in seconds, that a jail may propose: a day.
const DAY: u64 = 24 * 60 * 60;
/// What the first lines say. Who finds it there knows that no person wrote the file.
const HEAD: &str = "# Jails of fail2ban, written by `bartizan logs import-fail2ban`. Import again to change them;\n\
                    # `bartizan logs import-fail2ban --remove` takes all of them away.\n";
/// Before the checksum of all that follows.
const SUM: &str = "# blake3 ";

/// What the failures of a jail are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JailKind {
    /// Failed logins, or whatever else somebody made a jail for.
    Auth,
    /// Requests to a web server.
    Web,
}

/// One jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenJail {
    /// Its name, 1 to 64 bytes.
    pub name: String,
    /// What its failures are.
    pub kind: JailKind,
    /// Files; `*`, `?` and `[...]` stand for others.
    pub logs: Vec<String>,
    /// The journal, too; `filter.journalmatch` says what of it.
    pub journal: bool,
    /// Failures within `findtime_seconds` that are too many, at least 1.
    pub maxretry: u32,
    /// At least 1.
    pub findtime_seconds: u64,
    /// For how long an address is to be held, 1 second to a day.
    pub bantime_seconds: u64,
    /// Addresses and networks whose failures do not count.
    pub ignoreip: Vec<String>,
    /// What is a failure.
    pub filter: FilterSpec,
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenOver {
    /// The folder that they come from.
    pub from: String,
    /// At most 100.
    #[serde(default)]
    pub jails: Vec<TakenJail>,
}

/// Why a file is not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Invalid {
    /// It is no TOML, or not what is written there.
    #[error("{0}: import again with `bartizan logs import-fail2ban`")]
    Form(String),
    /// A value of a jail is out of its bounds.
    #[error("jail {0}: {1}: import again with `bartizan logs import-fail2ban`")]
    Jail(String, String),
}

impl TakenOver {
    /// What of the enabled jails can run, and for each of the others why it is left out.
    pub fn of(import: &Import, from: &str) -> (Self, Vec<(String, String)>) {
        let (mut taken, mut left) = (Self { from: from.to_owned(), jails: Vec::new() }, Vec::new());
        for jail in import.jails.iter().filter(|jail| jail.enabled) {
            match taken_jail(jail) {
                Ok(_) if taken.jails.len() >= MAX_JAILS => left.push((jail.name.clone(), format!("more than {MAX_JAILS} jails"))),
                Ok(one) => taken.jails.push(one),
                Err(why) => left.push((jail.name.clone(), why.to_owned())),
            }
        }
        (taken, left)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// When it cannot be written as TOML, or would not be read again as it is.
    pub fn text(&self) -> Result<String, Invalid> {
        let form = |error: &dyn std::fmt::Display| Invalid::Form(one_line(&error.to_string()));
        let body = toml::to_string(self).map_err(|error| form(&error))?;
        let text = format!("{HEAD}{SUM}{}\n{body}", blake3::hash(body.as_bytes()).to_hex());
        if Self::parse(&text)? != *self {
            return Err(Invalid::Form("it would not be read again as it is".to_owned()));
        }
        Ok(text)
    }

    /// Reads the text of the file. Expressions are not compiled: [`problems`](Self::problems) does.
    ///
    /// # Errors
    /// One line: what is wrong, and what to do.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let taken: Self = toml::from_str(text).map_err(|error| Invalid::Form(one_line(error.message())))?;
        if taken.jails.len() > MAX_JAILS {
            return Err(Invalid::Form(format!("more than {MAX_JAILS} jails")));
        }
        for jail in &taken.jails {
            jail.check().map_err(|why| Invalid::Jail(jail.name.escape_debug().take(MAX_NAME).collect(), why))?;
        }
        let twice = taken.jails.iter().enumerate().find(|(at, jail)| taken.jails.iter().take(*at).any(|other| other.name == jail.name));
        match twice {
            Some((_, jail)) => Err(Invalid::Jail(jail.name.clone(), "it is there twice".to_owned())),
            None => Ok(taken),
        }
    }

    /// Whether nobody but us wrote this text, as it is.
    pub fn is_ours(text: &str) -> bool {
        let body = text.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix(SUM)).and_then(|rest| rest.split_once('\n'));
        body.is_some_and(|(sum, body)| blake3::hash(body.as_bytes()).to_hex().as_str() == sum)
    }

    /// What of the filters cannot be run: each is compiled.
    pub fn problems(&self) -> Vec<Problem> {
        let compiled = |jail: &TakenJail| {
            let (filter, mut problems) = Filter::new(&jail.filter);
            if filter.is_none() && problems.is_empty() {
                problems.push(Problem::new(format!("jail {}", jail.name), "filter", "", "nothing of it can be run"));
            }
            problems
        };
        self.jails.iter().flat_map(compiled).collect()
    }
}

impl TakenJail {
    /// The networks whose failures do not count.
    pub fn ignored(&self) -> Vec<IpNet> {
        self.ignoreip.iter().filter_map(|text| network(text)).collect()
    }

    fn check(&self) -> Result<(), String> {
        let fits = |holds: bool, why: &str| if holds { Ok(()) } else { Err(why.to_owned()) };
        fits((1..=MAX_NAME).contains(&self.name.len()), "its name is not 1 to 64 bytes long")?;
        fits(bartizan_model::sentence(&self.name) == self.name, "its name has characters that cannot be shown")?;
        fits(self.maxretry >= 1, "maxretry is not 1 or more")?;
        fits((1..=u64::from(u32::MAX)).contains(&self.findtime_seconds), "findtime_seconds is not 1 or more")?;
        fits((1..=DAY).contains(&self.bantime_seconds), "bantime_seconds is not 1 to 86400")?;
        fits(self.logs.iter().all(|log| log.starts_with('/')), "a log is not an absolute path")?;
        fits(self.ignoreip.iter().all(|text| network(text).is_some()), "a word of ignoreip is no address and no network")
    }
}

/// One jail, or why it is left out.
fn taken_jail(jail: &Jail) -> Result<TakenJail, &'static str> {
    let filter = filter_of(&jail.filter);
    if filter == "recidive" {
        return Err("it reads fail2ban's own log: our own times for those who come back hold");
    }
    let mut spec = jail.spec.clone().ok_or("nothing of it can be run")?;
    // Expressions that are not understood were named, and are left out.
    let sound = Filter::new(&spec).0.ok_or("nothing of it can be run")?;
    spec.failregex = sound.failregex().map(str::to_owned).collect();
    let files = jail.sources.iter().filter_map(|source| if let Source::File(path) = source { Some(path) } else { None });
    let logs: Vec<String> = files.filter(|path| path.starts_with('/')).cloned().collect();
    let journal = jail.sources.iter().any(|source| matches!(source, Source::Journal(_)));
    if logs.is_empty() && !journal {
        return Err("it names no log");
    }
    let taken = TakenJail {
        name: jail.name.clone(),
        kind: kind(filter),
        logs,
        journal,
        maxretry: jail.maxretry,
        findtime_seconds: u64::try_from(jail.findtime).unwrap_or(1).clamp(1, u64::from(u32::MAX)),
        bantime_seconds: u64::try_from(jail.held()).unwrap_or(1).clamp(1, DAY),
        ignoreip: jail.ignoreip.clone(),
        filter: spec,
    };
    taken.check().map(|()| taken).map_err(|_| "its name is too long, or cannot be shown")
}

/// By the filter's name, as fail2ban's own filters are called: those of web servers, but where they read refused logins.
fn kind(filter: &str) -> JailKind {
    let of_the_web = ["nginx-", "apache-", "lighttpd-", "php-", "suhosin", "haproxy-", "traefik-", "squid", "3proxy"];
    let is_web = of_the_web.iter().any(|begin| filter.starts_with(begin)) && !filter.contains("auth") && !filter.contains("login");
    if is_web { JailKind::Web } else { JailKind::Auth }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).ok()
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Installed, import};

    fn taken() -> (TakenOver, Vec<(String, String)>) {
        let texts = [
            (
                "jail.conf",
                "[DEFAULT]\nmaxretry = 5\nignoreip = 127.0.0.1/8 192.0.2.7\n[shop]\nenabled = true\nlogpath = /srv/*/shop.log\nbantime = -1\nmaxretry = 2\n[nginx-botsearch]\nenabled = true\nlogpath = /var/log/a\n[recidive]\nenabled = true\nlogpath = /var/log/fail2ban.log\n[idle]\n[unit]\nenabled = true\nbackend = systemd\nfilter = shop\njournalmatch = _SYSTEMD_UNIT=shop.service\n[bare]\nenabled = true\nfilter = shop\n",
            ),
            ("filter.d/shop.conf", "[Definition]\nfailregex = ^refused \"<HOST>\" 'x'\\s$\n ^no \"\"\" <HOST>$\n"),
            ("filter.d/nginx-botsearch.conf", "[Definition]\nfailregex = ^<HOST> -\n"),
            ("filter.d/recidive.conf", "[Definition]\nfailregex = ^Ban <HOST>$\n"),
        ];
        TakenOver::of(&import(&Installed::of(texts), false), "/etc/fail2ban")
    }

    #[test]
    fn what_is_written_is_read_again_as_it_is() {
        let (taken, left) = taken();
        let names: Vec<&str> = taken.jails.iter().map(|jail| jail.name.as_str()).collect();
        assert_eq!(names, ["shop", "nginx-botsearch", "unit"]);
        assert_eq!(left.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["recidive", "bare"]);
        let shop = &taken.jails[0];
        assert_eq!((shop.maxretry, shop.bantime_seconds, shop.kind, shop.ignored().len()), (2, DAY, JailKind::Auth, 2));
        assert_eq!((taken.jails[1].kind, taken.jails[2].journal), (JailKind::Web, true));
        let text = taken.text().unwrap();
        assert_eq!(TakenOver::parse(&text).unwrap(), taken);
        assert_eq!(taken.problems(), []);
        assert!(TakenOver::is_ours(&text));
        for other in [text.replace("maxretry = 2", "maxretry = 9"), text.replace("# Jails", "# My jails"), String::new(), HEAD.to_owned()] {
            assert!(!TakenOver::is_ours(&other), "{other}");
        }
    }

    #[test]
    fn what_somebody_wrote_out_of_bounds_is_refused_and_named() {
        let text = taken().0.text().unwrap();
        for (from, to, says) in [
            ("maxretry = 2", "maxretry = 0", "jail shop: maxretry"),
            ("bantime_seconds = 86400", "bantime_seconds = 86401", "jail shop: bantime_seconds"),
            ("\"/srv/*/shop.log\"", "\"shop.log\"", "jail shop: a log"),
            ("192.0.2.7", "example.com", "jail shop: a word of ignoreip"),
            ("name = \"unit\"\nkind", "name = \"shop\"\nkind", "jail shop: it is there twice"),
            ("maxretry = 2", "maxretri = 2", "unknown field"),
        ] {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text, "{from}");
            let why = TakenOver::parse(&wrong).unwrap_err().to_string();
            assert!(why.contains(says) && why.contains("import again"), "{why}");
        }
    }
}
