//! Failures out of matches: lines of one connection joined by its id, helpers that only name somebody, logins that end well.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use bartizan_model::Timestamp;

use super::expression::Found;

/// Connections that are remembered; the oldest makes room. sshd's `MaxStartups` lets 100 be open at once.
const MAX_CONNECTIONS: usize = 2000;
/// Seconds after which a connection is forgotten, as in fail2ban.
const MAX_AGE: i64 = 300;
/// Account names of one connection.
const MAX_USERS: usize = 64;
/// Bytes of a field that are kept.
const MAX_FIELD: usize = 1024;

/// A failure that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When, if the line or one before it says so.
    pub at: Option<Timestamp>,
    /// The address that failed.
    pub address: Option<IpAddr>,
    /// What stands in the place of an address: a name, or something that looks like an address and is none.
    pub host: Option<String>,
    /// What the filter calls the one who failed (`<F-ID>`), where that is no address.
    pub id: Option<String>,
    /// The account.
    pub user: Option<String>,
    /// How many bits of the address the line speaks of (`<CIDR>`).
    pub bits: Option<u8>,
}

/// What the lines of one connection said so far.
#[derive(Debug, Default)]
struct Connection {
    fields: HashMap<String, String>,
    users: BTreeSet<String>,
    /// A failure that names nobody waits for the address.
    pending: bool,
    seen: Option<Timestamp>,
}

/// The connections of one source.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    known: HashMap<String, Connection>,
    order: VecDeque<String>,
}

impl Connections {
    /// What a match amounts to; `None` when it is only a helper, ends well, or names nobody yet.
    pub(crate) fn settle(&mut self, mut found: Found, at: Option<Timestamp>) -> Option<Failure> {
        for value in found.fields.values_mut() {
            cut(value);
        }
        // `alt_user` is the user where no other is named.
        let others: Vec<(String, String)> =
            found.fields.iter().filter_map(|(name, value)| Some((name.strip_prefix("alt_")?.to_owned(), value.clone()))).collect();
        for (name, value) in others {
            let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').to_owned();
            found.fields.entry(bare).or_insert(value);
        }
        let mut fields: HashMap<String, String> = found.fields.into_iter().collect();
        match fields.remove("mlfid") {
            Some(id) => self.join(&id, fields, at),
            None if is_set(&fields, "nofail") || is_set(&fields, "mlfgained") => None,
            None => failure(&fields, at),
        }
    }

    /// Joins a line to what is known of its connection.
    fn join(&mut self, id: &str, mut fields: HashMap<String, String>, at: Option<Timestamp>) -> Option<Failure> {
        let gained = is_set(&fields, "mlfgained");
        let helper = gained || is_set(&fields, "nofail");
        // The last line of a connection: what is known of it is known no more.
        let last = fields.remove("mlfforget").is_some();
        for flag in ["mlfgained", "nofail"] {
            fields.remove(flag);
        }
        let mut connection = self.take(id, at).unwrap_or_default();
        if let Some(user) = fields.get("user").filter(|user| !user.is_empty() && connection.users.len() < MAX_USERS) {
            connection.users.insert(user.clone());
        }
        let waited = std::mem::take(&mut connection.pending) && !gained;
        connection.fields.extend(fields);
        // A failure that waited, or a second account, counts although this line alone would not.
        let counts = !helper || waited || connection.users.len() > 1;
        let failure = if counts { failure(&connection.fields, at) } else { None };
        connection.pending = counts && failure.is_none();
        if !last {
            connection.seen = at.or(connection.seen);
            self.put(id, connection);
        }
        failure
    }

    fn take(&mut self, id: &str, at: Option<Timestamp>) -> Option<Connection> {
        let connection = self.known.remove(id)?;
        let old = at.zip(connection.seen).is_some_and(|(at, seen)| (at - seen).num_seconds() > MAX_AGE);
        (!old).then_some(connection)
    }

    fn put(&mut self, id: &str, connection: Connection) {
        let mut id = id.to_owned();
        cut(&mut id);
        if self.known.insert(id.clone(), connection).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > MAX_CONNECTIONS {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

fn cut(text: &mut String) {
    let mut end = MAX_FIELD.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

fn is_set(fields: &HashMap<String, String>, name: &str) -> bool {
    fields.get(name).is_some_and(|value| !value.is_empty())
}

/// The failure of somebody who is named; `None` when nobody is.
fn failure(fields: &HashMap<String, String>, at: Option<Timestamp>) -> Option<Failure> {
    let text = |name: &str| fields.get(name).filter(|value| !value.is_empty());
    let id = text("fid").cloned();
    let written = ["ip4", "ip6", "dns", "host"].into_iter().find_map(text);
    if id.is_none() && written.is_none() {
        return None;
    }
    let address = written.or(id.as_ref()).and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical());
    let host = written.filter(|_| address.is_none()).cloned();
    let bits = text("cidr").and_then(|bits| bits.parse().ok());
    let id = id.filter(|_| address.is_none());
    Some(Failure { at, address, host, id, user: fields.get("user").cloned(), bits })
}
