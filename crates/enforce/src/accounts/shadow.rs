//! One line of /etc/shadow (shadow(5)): the two marks that lock an account, set and taken away without a trace.
//!
//! An exclamation mark before the password lets no password match. An expiry long past (day 1 of 1970) makes pam_unix
//! and sshd refuse keys too: a locked password alone does not stop a key.

use serde::{Deserialize, Serialize};

use bartizan_model::HostText;

/// Fields before the password, before the expiry, and all of them.
const PASSWORD: usize = 1;
const EXPIRES: usize = 7;
const FIELDS: usize = 9;
/// Day 1: long ago, and not 0, which shadow(5) warns of.
const LONG_AGO: &[u8] = b"1";

/// What is needed to take the marks away again and to know whether anything else was changed. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// BLAKE3 of the line before.
    before: String,
    /// BLAKE3 of the line with the marks.
    after: String,
    /// BLAKE3 of the password field with its mark.
    password: String,
    /// The expiry field before: empty or a number.
    expires: String,
}

/// How a line stands to the marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Exactly as we left it.
    Ours,
    /// Changed, but nobody gets in.
    Locked,
    /// Somebody took a mark away.
    Open,
    /// Exactly as it was before.
    Before,
}

/// The line without the marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// The very bytes that were there before.
    Exactly(Vec<u8>),
    /// Only what was left of our marks, because somebody changed the line.
    Partly(Vec<u8>),
    /// There is no mark of ours.
    Nothing,
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// `None` when it is no line of shadow(5).
fn fields(line: &[u8]) -> Option<[&[u8]; FIELDS]> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    fields.try_into().ok()
}

fn marked(field: &[u8]) -> Vec<u8> {
    [b"!", field].concat()
}

impl Marks {
    /// The marks for this line and the line with them; `None` when it is no line of shadow(5).
    pub fn set(line: &[u8]) -> Option<(Self, Vec<u8>)> {
        let fields = fields(line)?;
        let expires = std::str::from_utf8(fields[EXPIRES]).ok().filter(|text| text.parse::<i64>().is_ok() || text.is_empty())?;
        let password = marked(fields[PASSWORD]);
        let mut with = fields;
        (with[PASSWORD], with[EXPIRES]) = (&password, LONG_AGO);
        let after = with.join(&b':');
        let marks = Self { before: hash(line), after: hash(&after), password: hash(&password), expires: expires.to_owned() };
        Some((marks, after))
    }

    /// How the line stands now.
    pub fn look(&self, line: &[u8]) -> Look {
        let (now, fields) = (hash(line), fields(line));
        let closed = fields.is_some_and(|fields| fields[PASSWORD].starts_with(b"!") && fields[EXPIRES] == LONG_AGO);
        match () {
            () if now == self.after => Look::Ours,
            () if now == self.before => Look::Before,
            () if closed => Look::Locked,
            () => Look::Open,
        }
    }

    /// The line without the marks. What somebody else wrote meanwhile stays: a password set or locked by another, an expiry
    /// of another.
    pub fn remove(&self, line: &[u8]) -> Removed {
        let Some(fields) = fields(line) else { return Removed::Nothing };
        let mut without = fields;
        if hash(fields[PASSWORD]) == self.password {
            without[PASSWORD] = fields[PASSWORD].get(1..).unwrap_or_default();
        }
        if fields[EXPIRES] == LONG_AGO {
            without[EXPIRES] = self.expires.as_bytes();
        }
        let line_without = without.join(&b':');
        match () {
            () if line_without == line => Removed::Nothing,
            () if hash(&line_without) == self.before => Removed::Exactly(line_without),
            () => Removed::Partly(line_without),
        }
    }

    /// What is kept of a line for whoever undoes it without us; from [`Marks::note`]'s text.
    pub fn recall(note: &[u8]) -> Option<(HostText, Self)> {
        let mut lines = note.split(|byte| *byte == b'\n');
        let (b"account", name, before) = (lines.next()?, lines.next()?, lines.next()?) else { return None };
        Some((HostText::from(name), Self::set(before)?.0))
    }

    /// The text of the note: method, name, the line before, the line with the marks.
    pub fn note(name: &HostText, before: &[u8], after: &[u8]) -> Vec<u8> {
        [b"account", name.as_bytes(), before, after, b""].join(&b'\n')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"ann:$y$j9T$salt$hash:19700:0:99999:7:::";

    #[test]
    fn the_marks_leave_no_trace() {
        for line in [LINE, b"ann::19700:0:99999:7::20000:", b"ann:!:19700::::::", b"ann:*:19700::::::x", b"ann:!$6$a$b:1:::::1:"] {
            let (marks, after) = Marks::set(line).unwrap();
            assert_ne!(after, line);
            assert_eq!((marks.look(&after), marks.look(line)), (Look::Ours, Look::Before));
            assert_eq!(marks.remove(&after), Removed::Exactly(line.to_vec()));
        }
        assert_eq!(Marks::set(LINE).unwrap().1, b"ann:!$y$j9T$salt$hash:19700:0:99999:7::1:");
        for bad in [&b"ann:x:1"[..], b"", b"ann:x:1:::::soon:", b"ann:x:1::::::::"] {
            assert_eq!(Marks::set(bad), None);
        }
    }

    #[test]
    fn what_others_wrote_meanwhile_stays() {
        let (marks, _) = Marks::set(LINE).unwrap();
        // A new password, then locked by somebody else: theirs stays, our expiry goes.
        let theirs = b"ann:!$y$j9T$new$other:19999:0:99999:7::1:";
        assert_eq!(marks.look(theirs), Look::Locked);
        assert_eq!(marks.remove(theirs), Removed::Partly(b"ann:!$y$j9T$new$other:19999:0:99999:7:::".to_vec()));
        // passwd -u took the mark away, the expiry is still ours.
        let unlocked = b"ann:$y$j9T$salt$hash:19700:0:99999:7::1:";
        assert_eq!(marks.look(unlocked), Look::Open);
        assert_eq!(marks.remove(unlocked), Removed::Exactly(LINE.to_vec()));
        // Only the age was changed.
        let aged = b"ann:!$y$j9T$salt$hash:20000:0:99999:7::1:";
        assert_eq!(marks.remove(aged), Removed::Partly(b"ann:$y$j9T$salt$hash:20000:0:99999:7:::".to_vec()));
        let other = b"ann:$y$new:20000:0:99999:7::30000:";
        assert_eq!((marks.look(other), marks.remove(other)), (Look::Open, Removed::Nothing));
    }

    #[test]
    fn a_note_is_read_back() {
        let (marks, after) = Marks::set(LINE).unwrap();
        let name = HostText::from("ann");
        assert_eq!(Marks::recall(&Marks::note(&name, LINE, &after)), Some((name, marks)));
        assert_eq!(Marks::recall(b"container\nx\ny\n"), None);
    }
}
