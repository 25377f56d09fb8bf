//! The audit log as a chain: each line's hash covers the line before, so that nothing can be changed, taken out or
//! put in without breaking every hash after it.
//!
//! Whoever can rewrite the whole file can make a new chain: comparing the last hash with a copy kept elsewhere shows that.

use rusqlite::{Connection, OptionalExtension, params};

pub use crate::protocol::AuditVerdict;

use crate::model::{AuditBody, AuditEntry};

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

pub(super) fn append(connection: &mut Connection, body: &AuditBody) -> rusqlite::Result<AuditEntry> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let entry = append_in(&transaction, body)?;
    transaction.commit()?;
    Ok(entry)
}

/// The same as a part of a transaction that is open on `connection`.
pub(super) fn append_in(connection: &Connection, body: &AuditBody) -> rusqlite::Result<AuditEntry> {
    let text = serde_json::to_string(body).map_err(broken)?;
    let last = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let (seq, before) = match last {
        // A last line whose hash is no hash was tampered with: the chain goes on from nothing and `verify` shows where.
        Some((seq, hash)) => (u64::try_from(seq).unwrap_or(0) + 1, blake3::Hash::from_hex(&hash).map_or(ORIGIN, |hash| *hash.as_bytes())),
        None => (1, ORIGIN),
    };
    let hash = link(&before, seq, &text).to_hex().to_string();
    let mut row = connection.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3)")?;
    row.execute(params![i64::try_from(seq).unwrap_or(i64::MAX), text, hash])?;
    Ok(AuditEntry { seq, body: body.clone(), hash })
}

pub(super) fn tail(connection: &Connection, n: usize) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut statement = connection.prepare("SELECT seq, body, hash FROM audit ORDER BY seq DESC LIMIT ?1")?;
    let rows = statement.query_map([i64::try_from(n).unwrap_or(i64::MAX)], |row| {
        let (seq, body, hash): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // A line that somebody made unreadable is shown as what it is; `verify` names it.
        let body = serde_json::from_str(&body).unwrap_or_else(|_| AuditBody {
            at: crate::model::Timestamp::UNIX_EPOCH,
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

pub(super) fn verify(connection: &Connection) -> rusqlite::Result<AuditVerdict> {
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
        detail = blake3::Hash::from(before).to_hex().to_string();
    }
    Ok(AuditVerdict { intact: broken_at.is_none(), entries, broken_at, detail })
}
