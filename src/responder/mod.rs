//! The hand: journal, snapshot, apply, verify, commit or roll back.
