//! What a full disk could not take: kept in memory and written as soon as it has room again.

use super::{Ledger, audit, row};
use bartizan_model::AuditBody;

impl Ledger {
    /// Adds a line to the record, or keeps it in memory until the disk takes it: for what must go on without a disk.
    pub fn audit_or_owe(&self, line: AuditBody) {
        if self.audit(line.clone()).is_err() {
            self.book().owe(None, Some(line));
        }
    }

    /// Writes what the disk still owes, when there is any; gives how many rows and lines wait still.
    pub fn pay(&self) -> usize {
        let (rows, lines, lost) = {
            let book = self.book();
            if book.owed_rows.is_empty() && book.owed_lines.is_empty() {
                return 0;
            }
            (book.owed_rows.clone(), book.owed_lines.clone(), book.lost_lines)
        };
        let written = self.change("write what was kept in memory", false, |change, chain| {
            for action in rows.values() {
                let body = serde_json::to_string(action).unwrap_or_default();
                row::write(change, action, &body)?;
            }
            for line in &lines {
                audit::append(change, chain, line)?;
            }
            if lost > 0 {
                let last = lines.back().or(lines.front());
                let detail = format!("{lost} lines could not be kept in memory while the disk took none");
                let lost = last.map(|last| AuditBody { what: "audit.lost".into(), subject: "ledger.db".into(), detail, ..last.clone() });
                lost.map_or(Ok(()), |line| audit::append(change, chain, &line).map(drop))?;
            }
            Ok(())
        });
        let mut book = self.book();
        if written.is_ok() {
            book.owed_rows.retain(|id, action| rows.get(id) != Some(action));
            let paid = lines.len().min(book.owed_lines.len());
            book.owed_lines.drain(..paid);
            book.lost_lines = 0;
        }
        book.owed_rows.len() + book.owed_lines.len()
    }
}
