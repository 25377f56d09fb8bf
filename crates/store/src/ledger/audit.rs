//! The audit log as a chain: each line's hash covers the line before, so that nothing can be changed, taken out or
//! put in without breaking every hash after it.
//!
//! A chain does not notice that its end is missing, and whoever can rewrite the whole file can make a new one: the
//! anchor beside it shows both, see `anchor.rs`.

use rusqlite::{Connection, OptionalExtension, params};

pub use bartizan_protocol::AuditVerdict;

use super::anchor::{Found, Head};
use bartizan_model::{AuditBody, AuditEntry};

/// The hash before the first line.
const ORIGIN: [u8; 32] = [0; 32];

/// BLAKE3 over the hash before (32 bytes), the number (8 bytes, big endian) and the body as it is stored.
fn link(before: &[u8; 32], seq: u64, body: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(&seq.to_be_bytes()).update(body.as_bytes());
    hasher.finalize()
}

fn broken(why: impl std::fmt::Display) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(why.to_string().into())
}

/// Name of the line that says that lines before it are gone.
pub(super) const CUT: &str = "audit.cut";

/// Where the log ends, while a transaction adds to it.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// Where it ended as far as we know, then where it ends.
    pub(super) head: Head,
    /// It was found to end elsewhere, in words.
    pub(super) cut: Option<String>,
}

/// The last line's number and hash; 0 and the origin when there is none.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<(u64, String)> {
    let last = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    Ok(last.map_or_else(|| (0, blake3::Hash::from(ORIGIN).to_hex().to_string()), |(seq, hash)| (u64::try_from(seq).unwrap_or(0), hash)))
}

/// Adds a line as a part of a transaction that is open on `connection`. When the log ends elsewhere than we know, a line
/// that says so goes before.
pub(super) fn append(connection: &Connection, chain: &mut Chain, body: &AuditBody) -> rusqlite::Result<AuditEntry> {
    let (seq, hash) = head(connection)?;
    if (seq, hash.as_str()) != (chain.head.lines, chain.head.hash.as_str()) {
        let why = differs(&chain.head, seq);
        insert(connection, (seq, &hash), chain, &cut_line(body.at, &why))?;
        chain.cut = Some(why);
        return insert(connection, (seq + 1, &chain.head.hash.clone()), chain, body);
    }
    insert(connection, (seq, &hash), chain, body)
}

/// The line that says that lines are gone.
pub(super) fn cut_line(at: bartizan_model::Timestamp, detail: &str) -> AuditBody {
    AuditBody { at, actor: "bartizan".into(), what: CUT.into(), subject: "ledger.db".into(), detail: detail.to_owned() }
}

/// How a log of `left` lines differs from what was known of it.
pub(super) fn differs(known: &Head, left: u64) -> String {
    let (lines, at) = (known.lines, known.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    match left {
        left if left < lines => format!("the log had {lines} lines at {at}, {left} are left"),
        _ => format!("line {lines} is not the one that stood there at {at}: the log was replaced or rewritten"),
    }
}

fn insert(connection: &Connection, (last, hash): (u64, &str), chain: &mut Chain, body: &AuditBody) -> rusqlite::Result<AuditEntry> {
    let text = serde_json::to_string(body).map_err(broken)?;
    let seq = last + 1;
    // A last line whose hash is no hash was tampered with: the chain goes on from nothing and `verify` shows where.
    let before = blake3::Hash::from_hex(hash).map_or(ORIGIN, |hash| *hash.as_bytes());
    let hash = link(&before, seq, &text).to_hex().to_string();
    let mut row = connection.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3)")?;
    row.execute(params![i64::try_from(seq).unwrap_or(i64::MAX), text, hash])?;
    chain.head = Head { lines: seq, hash: hash.clone(), at: body.at };
    Ok(AuditEntry { seq, body: body.clone(), hash })
}

/// Compares the log with its anchor. `None` when it went at least as far, along the same line.
pub(super) fn against(connection: &Connection, anchored: &Found) -> rusqlite::Result<Option<(u64, String)>> {
    let lines = head(connection)?.0;
    let known = match anchored {
        Found::Nothing if lines == 0 => return Ok(None),
        Found::Nothing => {
            let why = format!("a log of {lines} lines has no anchor: key and anchor were removed, so its original length is unknown");
            return Ok(Some((lines + 1, why)));
        }
        Found::Broken(why) => return Ok(Some((lines + 1, why.clone()))),
        Found::Head(known) => known,
    };
    if lines < known.lines {
        return Ok(Some((lines + 1, differs(known, lines))));
    }
    let number = i64::try_from(known.lines).unwrap_or(i64::MAX);
    let there = connection.query_row("SELECT hash FROM audit WHERE seq = ?1", [number], |row| row.get::<_, String>(0)).optional()?;
    let same = known.lines == 0 || there.as_deref() == Some(known.hash.as_str());
    Ok((!same).then(|| (known.lines, differs(known, lines))))
}

pub(super) fn tail(connection: &Connection, n: usize) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut statement = connection.prepare("SELECT seq, body, hash FROM audit ORDER BY seq DESC LIMIT ?1")?;
    let rows = statement.query_map([i64::try_from(n).unwrap_or(i64::MAX)], |row| {
        let (seq, body, hash): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // A line that somebody made unreadable is shown as what it is; `verify` names it.
        let body = serde_json::from_str(&body).unwrap_or_else(|_| AuditBody {
            at: bartizan_model::Timestamp::UNIX_EPOCH,
            actor: "unknown".into(),
            what: "audit.unreadable".into(),
            subject: "this line".into(),
            detail: "the line was changed and cannot be read".into(),
        });
        Ok(AuditEntry { seq: u64::try_from(seq).unwrap_or(0), body, hash })
    })?;
    let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    entries.reverse();
    Ok(entries)
}

pub(super) fn verify(connection: &Connection, anchored: &Found) -> rusqlite::Result<AuditVerdict> {
    let mut statement = connection.prepare("SELECT seq, body, hash FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let (mut entries, mut before, mut broken_at, mut detail) = (0u64, ORIGIN, None, String::new());
    while let Some(row) = rows.next()? {
        entries += 1;
        if broken_at.is_some() {
            continue;
        }
        let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
        let (body, hash): (String, String) = (row.get(1)?, row.get(2)?);
        let wanted = link(&before, seq, &body);
        if seq != entries {
            (broken_at, detail) = (Some(entries), format!("line {entries} is missing; line {seq} stands there"));
        } else if wanted.to_hex().as_str() != hash {
            (broken_at, detail) = (Some(seq), format!("line {seq} or its hash was changed"));
        }
        before = *wanted.as_bytes();
    }
    if broken_at.is_none() {
        // The chain holds as far as it goes; whether that is all of it only others know.
        let lines_gone = match against(connection, anchored)? {
            Some(found) => Some(found),
            None => first_cut(connection)?,
        };
        if let Some((line, why)) = lines_gone {
            (broken_at, detail) = (Some(line), why);
        }
    }
    if broken_at.is_none() {
        detail = blake3::Hash::from(before).to_hex().to_string();
    }
    Ok(AuditVerdict { intact: broken_at.is_none(), entries, broken_at, detail })
}

/// The first line that says that lines before it are gone: what was cut once stays told.
fn first_cut(connection: &Connection) -> rusqlite::Result<Option<(u64, String)>> {
    let line = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let query = "SELECT seq, json_extract(body, '$.detail') FROM audit WHERE json_extract(body, '$.what') = ?1 ORDER BY seq LIMIT 1";
    let found = connection.query_row(query, [CUT], line).optional()?;
    Ok(found.map(|(seq, detail)| (u64::try_from(seq).unwrap_or(0), detail)))
}
