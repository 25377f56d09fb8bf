//! Kinds of events as bits of a mask, so that a block without the kind asked for is not even opened.

use bartizan_model::EventKind;
use bartizan_protocol::is_of_kind;

/// Names in the order of their bits. A bit once given keeps its kind: a new kind goes at the end.
const BITS: [&str; 20] = [
    "process.exec", "process.fork", "process.exit", "net.connect", "net.listen", "file.change", "file.open", "persistence.change",
    "user.change", "privilege.use", "container.start", "container.stop", "agent.budget", "sensor.loss", "agent.alarm", "auth.ok",
    "auth.fail", "web.attack", "net.accept", "net.close",
];
/// A kind that has no bit of its own: such a block is always opened. The sign bit of SQLite's integers stays free.
pub(super) const OTHER: i64 = 1 << 62;

/// The bit of one kind.
pub(super) fn bit(kind: &EventKind) -> i64 {
    match kind {
        EventKind::Exec => 1,
        EventKind::Fork => 2,
        EventKind::Exit { .. } => 4,
        EventKind::Connect { .. }
        | EventKind::Listen { .. }
        | EventKind::Accept { .. }
        | EventKind::Close { .. }
        | EventKind::FileChange { .. }
        | EventKind::FileOpen { .. }
        | EventKind::PersistenceChange { .. }
        | EventKind::UserChange { .. }
        | EventKind::PrivilegeUse { .. }
        | EventKind::ContainerStart { .. }
        | EventKind::ContainerStop { .. }
        | EventKind::LoginAccepted { .. }
        | EventKind::LoginFailed { .. }
        | EventKind::WebAttack { .. }
        | EventKind::Budget { .. }
        | EventKind::Loss { .. }
        | EventKind::Alarm { .. } => BITS.iter().position(|name| *name == kind.name()).map_or(OTHER, |place| 1 << place),
    }
}

/// The bits of all kinds that a kind or family may mean.
pub(super) fn mask(kind: &str) -> i64 {
    BITS.iter().enumerate().filter(|(_, name)| is_of_kind(name, kind)).fold(OTHER, |mask, (place, _)| mask | 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_bit() {
        for name in EventKind::NAMES {
            assert_eq!((mask(name) & !OTHER).count_ones(), 1, "{name} has no bit: add it at the end of BITS, and to no released step");
        }
        assert_eq!((bit(&EventKind::Exec), bit(&EventKind::Fork)), (mask("process.exec") & !OTHER, mask("process.fork") & !OTHER));
        let exit = EventKind::Exit { exit: bartizan_model::Exit { code: None, signal: None } };
        assert_eq!(bit(&exit), mask("process.exit") & !OTHER);
        assert_eq!((mask("process") & !OTHER).count_ones(), 3);
        assert_eq!(mask("proc"), OTHER);
    }
}
