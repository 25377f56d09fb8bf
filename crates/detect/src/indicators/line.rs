//! Which words of a line are indicators: plain lists, hosts files, `sha256sum` output and tables with a heading.

use std::net::IpAddr;

/// Columns that hold an indicator, the most telling first: the names that abuse.ch, MISP and the like give them.
const COLUMNS: [&str; 18] = [
    "indicator", "ioc", "ioc_value", "value", "sha256", "sha256_hash", "dst_ip", "ip", "ip_address", "ipaddress", "src_ip", "address",
    "network", "cidr", "domain", "hostname", "host", "fqdn",
];
/// Most columns of a table that are looked at.
const MAX_COLUMNS: usize = 64;

/// How a list is laid out.
#[derive(Debug)]
pub(super) struct Columns {
    /// Of a table, the column that holds the indicators, once it is known.
    column: Option<Option<usize>>,
}

impl Columns {
    /// Lines of words.
    pub(super) fn text() -> Self {
        Self { column: None }
    }

    /// Lines of fields between commas.
    pub(super) fn table() -> Self {
        Self { column: Some(None) }
    }

    /// Whether this line is the heading of a table, which names its columns.
    pub(super) fn are_named_by(&mut self, text: &str) -> bool {
        if self.column != Some(None) {
            return false;
        }
        let names: Vec<String> = fields(text).map(|name| name.to_ascii_lowercase()).collect();
        let place = COLUMNS.iter().find_map(|known| names.iter().position(|name| name == known));
        if place.is_some() {
            self.column = Some(place);
        }
        place.is_some()
    }

    /// The words of a line that should be indicators.
    pub(super) fn values<'a>(&self, text: &'a str) -> Vec<&'a str> {
        match self.column {
            _ if text.is_empty() => Vec::new(),
            Some(column) => vec![fields(text).nth(column.unwrap_or_default()).unwrap_or_default()],
            None => words(text),
        }
    }
}

/// Fields of a line between commas, without their quotation marks; none of what is looked for holds a comma.
fn fields(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').take(MAX_COLUMNS).map(|field| field.trim().trim_matches('"').trim())
}

/// A remark may follow a value behind `#` or `;`.
fn words(text: &str) -> Vec<&str> {
    let line = text.split(['#', ';']).next().unwrap_or_default().trim();
    let mut words = line.split_whitespace();
    let (first, rest): (Option<&str>, Vec<&str>) = (words.next(), words.collect());
    let is_sink = |word: &str| word.parse::<IpAddr>().is_ok_and(|addr| addr.is_unspecified() || addr.is_loopback());
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    match first {
        // A hosts file sends bad names nowhere: hosts(5).
        Some(first) if is_sink(first) && !rest.is_empty() => rest,
        // sha256sum(1) writes the file behind the digest; lists of addresses a count, a country.
        Some(first) if rest.is_empty() || is_digest(first) || first.parse::<IpAddr>().is_ok() => vec![first],
        _ if line.is_empty() => Vec::new(),
        _ => vec![line],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_usual_layouts() {
        assert_eq!(words("1.10.16.0/20 ; SBL256894"), ["1.10.16.0/20"]);
        assert_eq!(words("evil.example # seen in March"), ["evil.example"]);
        assert_eq!(words("0.0.0.0 evil.example other.example"), ["evil.example", "other.example"]);
        assert_eq!(words("5.6.7.8\t10"), ["5.6.7.8"]);
        assert_eq!(words("127.0.0.1"), ["127.0.0.1"]);
        assert_eq!(words("two words"), ["two words"]);
        assert_eq!(words("; a remark"), [""; 0]);
        let digest = "a".repeat(64);
        assert_eq!(words(&format!("{digest}  /tmp/x")), [digest.as_str()]);
    }

    #[test]
    fn a_table_is_read_by_its_heading() {
        let mut feodo = Columns::table();
        assert!(feodo.are_named_by("\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\""));
        assert!(!feodo.are_named_by("\"2021-01-17 07:30:05\",\"67.213.75.205\",\"443\",\"offline\",\"2026-11-28\",\"Dridex\""));
        assert_eq!(feodo.values("\"2021-01-17 07:30:05\",\"67.213.75.205\",\"443\",\"offline\""), ["67.213.75.205"]);
        assert_eq!(feodo.values("short"), [""], "a line without the column is a bad one");
        let bare = Columns::table();
        assert_eq!(bare.values("5.6.7.8,scanner"), ["5.6.7.8"]);
    }
}
