//! Disk: the ledger (actions, audit) and the archive (events, signals, incidents, alerts).

pub mod ledger;
