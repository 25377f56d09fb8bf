//! A jail: which filter over which logs, and when it is too much.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::installed::Installed;
use super::problem::Problem;
use super::spec::FilterSpec;
use super::units::seconds;

/// The longest time for which an address is held, in seconds: a day.
const LONGEST_BAN: i64 = 24 * 60 * 60;
/// Log files and networks of one jail.
const MAX_ENTRIES: usize = 1000;

/// Where a jail gets its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Files; `*`, `?` and `[...]` stand for others.
    File(String),
    /// The journal, and what it is asked for (systemd.journal-fields(7)).
    Journal(String),
}

/// A jail as it is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jail {
    /// Its name.
    pub name: String,
    /// Whether fail2ban would run it.
    pub enabled: bool,
    /// The filter with its parameters, as it stands there: `sshd[mode=aggressive]`.
    pub filter: String,
    /// What the filter says; `None` when nothing of it can be run.
    pub spec: Option<FilterSpec>,
    /// Where lines come from.
    pub sources: Vec<Source>,
    /// Failures within `findtime` that are too many, at least 1.
    pub maxretry: u32,
    /// Seconds.
    pub findtime: i64,
    /// Seconds for which an address is to be held, as it stands there; negative is for ever.
    pub bantime: i64,
    /// Addresses and networks that are never held.
    pub ignoreip: Vec<String>,
    /// What is not understood, and is left out.
    pub problems: Vec<Problem>,
    /// What is done otherwise than fail2ban does it.
    pub differs: Vec<String>,
}

/// The name of the filter in `filter = NAME[...]`.
pub fn filter_of(text: &str) -> &str {
    text.split('[').next().unwrap_or_default().trim()
}

impl Jail {
    /// Seconds for which an address is held: `bantime`, and a day where that is longer or without end.
    pub fn held(&self) -> i64 {
        if self.bantime < 0 { LONGEST_BAN } else { self.bantime.min(LONGEST_BAN) }
    }

    /// Reads one section of the jails.
    pub(crate) fn read(installed: &Installed, config: &Config, name: &str) -> Self {
        let mut reader = Reader { config, name, problems: Vec::new() };
        let enabled = reader.text("enabled").is_some_and(|text| is_yes(&text));
        let filter = reader.text("filter").filter(|text| !text.is_empty()).unwrap_or_else(|| name.to_owned());
        let time = |reader: &mut Reader<'_>, setting: &str, usual: i64| {
            let Some(text) = reader.text(setting) else { return usual };
            seconds(&text).unwrap_or_else(|| {
                reader.problem(setting, &text, "no length of time");
                usual
            })
        };
        let (findtime, bantime) = (time(&mut reader, "findtime", 600).max(1), time(&mut reader, "bantime", 600));
        let maxretry = reader.text("maxretry").and_then(|text| text.trim().parse().ok()).unwrap_or(3_u32).max(1);
        let journal = reader.text("backend").is_some_and(|backend| backend.trim().starts_with("systemd"));
        let spec = reader.spec(installed, &filter, journal).filter(|_| reader.keeps_out());
        let sources = reader.sources(spec.as_ref(), journal);
        let differs = reader.differs(filter_of(&filter), bantime);
        let ignoreip = reader.words("ignoreip");
        let ignoreip = ignoreip.into_iter().filter(|word| reader.is_network(word)).collect();
        let Reader { problems, .. } = reader;
        Self { name: name.to_owned(), enabled, filter, spec, sources, maxretry, findtime, bantime, ignoreip, problems, differs }
    }
}

struct Reader<'a> {
    config: &'a Config,
    name: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, setting: &str, what: &str, why: &str) {
        self.problems.push(Problem::new(format!("jail {}", self.name), setting, what, why));
    }

    fn text(&mut self, setting: &str) -> Option<String> {
        match self.config.get(self.name, setting, &BTreeMap::new()) {
            Ok(text) => text,
            Err(why) => {
                self.problem(setting, "", &why.to_string());
                None
            }
        }
    }

    fn words(&mut self, setting: &str) -> Vec<String> {
        let text = self.text(setting).unwrap_or_default();
        text.split([' ', '\t', '\n', ',']).filter(|word| !word.is_empty()).take(MAX_ENTRIES).map(str::to_owned).collect()
    }

    /// Whether a match is somebody to keep out. fail2ban can be turned round, to let in whoever knocks as agreed.
    fn keeps_out(&mut self) -> bool {
        let kind = self.text("blocktype").unwrap_or_default();
        let lets_in = ["RETURN", "ACCEPT", "ALLOW"].iter().any(|word| kind.trim().to_ascii_uppercase().starts_with(word));
        if lets_in {
            self.problem("blocktype", &kind, "this jail lets in whoever matches; Bartizan only keeps out");
        }
        !lets_in
    }

    /// The filter with what the jail itself adds to it.
    fn spec(&mut self, installed: &Installed, filter: &str, journal: bool) -> Option<FilterSpec> {
        let (name, mut parameters) = match parameters(filter) {
            Some(parsed) => parsed,
            None => {
                self.problem("filter", filter, "no name of a filter with parameters in brackets");
                return None;
            }
        };
        let logtype = if journal { "journal" } else { "file" };
        parameters.entry("logtype".to_owned()).or_insert_with(|| logtype.to_owned());
        let has_file = installed.has(&format!("filter.d/{name}.conf")) || installed.has(&format!("filter.d/{name}.local"));
        let mut spec = match FilterSpec::read(installed, &name, &parameters, &mut self.problems) {
            Ok(spec) => spec,
            // A jail may bring expressions of its own and no filter.
            Err(_) if !has_file && self.text("failregex").is_some_and(|text| !text.is_empty()) => {
                FilterSpec { name: name.clone(), maxlines: 1, ..FilterSpec::default() }
            }
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let lines = |text: Option<String>| -> Vec<String> {
            text.unwrap_or_default().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        spec.failregex.extend(lines(self.text("failregex")));
        spec.ignoreregex.extend(lines(self.text("ignoreregex")));
        spec.journalmatch = Some(lines(self.text("journalmatch"))).filter(|own| !own.is_empty()).unwrap_or(spec.journalmatch);
        spec.prefregex = self.text("prefregex").filter(|own| !own.is_empty()).or(spec.prefregex);
        spec.datepattern = self.text("datepattern").filter(|own| !own.is_empty()).or(spec.datepattern);
        if let Some(text) = self.text("logtimezone").filter(|text| !text.is_empty()) {
            spec.zone = offset(&text);
            if spec.zone.is_none() {
                self.problem("logtimezone", &text, "only UTC, GMT, Z and offsets like UTC+0200 are zones");
            }
        }
        Some(spec)
    }

    fn sources(&mut self, spec: Option<&FilterSpec>, journal: bool) -> Vec<Source> {
        if journal {
            let asked = spec.map(|spec| spec.journalmatch.join(" + ")).unwrap_or_default();
            return vec![Source::Journal(asked)];
        }
        let text = self.text("logpath").unwrap_or_default();
        // `tail` and `head` behind a path only say where reading begins.
        let path = |line: &str| line.trim_end_matches(" tail").trim_end_matches(" head").trim().to_owned();
        let paths = text.lines().map(path).filter(|path| !path.is_empty());
        paths.take(MAX_ENTRIES).map(Source::File).collect()
    }

    /// What is done otherwise, in sentences.
    fn differs(&mut self, filter: &str, bantime: i64) -> Vec<String> {
        let mut out = Vec::new();
        if filter == "recidive" {
            out.push("it reads fail2ban's own log, which ends with fail2ban: our own times for those who come back hold".to_owned());
        }
        if !(0..=LONGEST_BAN).contains(&bantime) {
            out.push("bantime is longer than a day: an address is held for a day, and again when it goes on".to_owned());
        }
        if self.text("ignorecommand").is_some_and(|text| !text.trim().is_empty()) {
            out.push("ignorecommand is not run: name the addresses in ignoreip".to_owned());
        }
        if self.text("bantime.increment").is_some_and(|text| is_yes(&text)) {
            out.push("bantime.increment: our own times for those who come back hold".to_owned());
        }
        out
    }

    fn is_network(&mut self, word: &str) -> bool {
        let known = word.parse::<std::net::IpAddr>().is_ok() || word.parse::<ipnet::IpNet>().is_ok();
        if !known {
            self.problem("ignoreip", word, "names are not looked up: write addresses and networks");
        }
        known
    }
}

fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "on" | "true" | "yes")
}

/// Seconds ahead of UTC: `UTC`, `GMT-0100`, `+02:00`.
fn offset(text: &str) -> Option<i32> {
    let rest = text.trim().trim_start_matches("UTC").trim_start_matches("GMT").trim_start_matches('Z');
    if rest.is_empty() {
        return Some(0);
    }
    let digits: String = rest.get(1..)?.chars().filter(|c| *c != ':').collect();
    let (hours, minutes): (i32, i32) = (digits.get(..2)?.parse().ok()?, digits.get(2..4).map_or(Some(0), |text| text.parse().ok())?);
    let seconds = hours * 3600 + minutes * 60;
    match rest.chars().next()? {
        '+' => Some(seconds),
        '-' => Some(-seconds),
        _ => None,
    }
}

/// Takes `name[one=1, two="a,b", three='x']` apart. Names of parameters are small letters.
pub(crate) fn parameters(text: &str) -> Option<(String, BTreeMap<String, String>)> {
    let text = text.trim();
    let Some((name, rest)) = text.split_once('[') else { return Some((text.to_owned(), BTreeMap::new())) };
    let mut rest = rest.trim_end().strip_suffix(']')?;
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', ',', ']', '[']);
        if rest.is_empty() {
            return Some((name.trim().to_owned(), found));
        }
        let (key, after) = rest.split_once('=')?;
        let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''));
        let (value, behind) = match quote {
            Some(quote) => after.get(1..)?.split_once(quote)?,
            None => after.split_at(after.find([',', ']', '\n']).unwrap_or(after.len())),
        };
        found.insert(key.trim().to_lowercase(), if quote.is_some() { value } else { value.trim() }.to_owned());
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::{offset, parameters};

    #[test]
    fn parameters_of_a_filter_are_taken_apart() {
        let (name, found) = parameters("sshd[mode=aggressive, x=\"a,b]\", Y='c'][z=1]").unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((name.as_str(), found.join(" ")), ("sshd", "mode=aggressive x=a,b] y=c z=1".to_owned()));
        assert_eq!(parameters("plain").unwrap().0, "plain");
        assert_eq!(parameters("broken[x=\"1]"), None);
        assert_eq!(parameters("broken[x]"), None);
    }

    #[test]
    fn zones_are_offsets() {
        for (text, wanted) in [("UTC", Some(0)), ("UTC+0200", Some(7200)), ("GMT-01:30", Some(-5400)), ("Europe/Zurich", None)] {
            assert_eq!(offset(text), wanted, "{text}");
        }
    }
}
