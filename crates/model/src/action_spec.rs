//! The kinds of action there are, one block each: name, verb, target, and how careful everybody must be with it.
//!
//! Command line, console, defaults, the court's protected kinds, previews and the reconciler read it from here; how it is
//! done is one file in `responder/actions/`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Target;

/// What a kind of action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// [`Target::Address`].
    Address,
    /// [`Target::Addresses`].
    Addresses,
    /// [`Target::Source`].
    Source,
    /// [`Target::Destination`].
    Destination,
    /// [`Target::ProcessTree`].
    ProcessTree,
    /// [`Target::User`].
    User,
    /// [`Target::Container`].
    Container,
    /// [`Target::Host`].
    Host,
    /// [`Target::File`].
    File,
}

impl Target {
    /// What kind of thing it is.
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Address { .. } => TargetKind::Address,
            Self::Addresses { .. } => TargetKind::Addresses,
            Self::Source { .. } => TargetKind::Source,
            Self::Destination { .. } => TargetKind::Destination,
            Self::ProcessTree { .. } => TargetKind::ProcessTree,
            Self::User { .. } => TargetKind::User,
            Self::Container { .. } => TargetKind::Container,
            Self::Host => TargetKind::Host,
            Self::File { .. } => TargetKind::File,
        }
    }
}

/// What must be known of a kind of action by those who do not carry it out. No field has a default: whoever adds a kind
/// decides each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionSpec {
    /// Its stable name, as in JSON.
    pub name: &'static str,
    /// As a verb: "block".
    pub verb: &'static str,
    /// What it is about.
    pub target: TargetKind,
    /// The host can be put back exactly as it was.
    pub reversible: bool,
    /// It may cut people off: undone unless a person confirms it in time.
    pub disruptive: bool,
    /// Its effect outlives a reboot: then its intent is on the disk's platters, not only handed to the kernel, before it
    /// begins.
    pub lasting: bool,
    /// All of it stands in our table of the packet filter.
    pub in_packet_filter: bool,
    /// Why the agent never does it alone; `None`: mode, evidence and the other guards decide.
    pub only_by_a_person: Option<&'static str>,
    /// The least that helps: two pieces of evidence are enough.
    pub least: bool,
    /// How long it lasts when a person asks for it and gives no time.
    pub lasts: Duration,
    /// What stays open besides the owner's own access, for whoever is asked; continues that sentence.
    pub stays_open: &'static str,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// One block a kind: the variant, its place in [`ActionKind::ALL`] and its [`ActionSpec`].
macro_rules! kinds {
    ($($(#[$words:meta])* $kind:ident: $spec:tt)*) => {
        /// What kind of change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum ActionKind {
            $($(#[$words])* $kind,)*
        }

        impl ActionKind {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($kind)),*].len()] = [$(Self::$kind),*];

            /// What is to be known of it.
            pub const fn spec(self) -> &'static ActionSpec {
                match self {
                    $(Self::$kind => {
                        const SPEC: ActionSpec = ActionSpec $spec;
                        &SPEC
                    })*
                }
            }
        }
    };
}

kinds! {
    /// Drop packets from or to one address, in nftables, with a kernel timeout.
    BlockAddress: {
        name: "block-address",
        verb: "block",
        target: TargetKind::Address,
        reversible: true,
        disruptive: false,
        lasting: false,
        in_packet_filter: true,
        only_by_a_person: None,
        least: true,
        lasts: minutes(10),
        stays_open: "; every other address",
    }
    /// Drop packets from many addresses of one attack, in nftables, with kernel timeouts; only ever allowed by a person.
    BlockAddresses: {
        name: "block-addresses",
        verb: "block",
        target: TargetKind::Addresses,
        reversible: true,
        disruptive: false,
        lasting: false,
        in_packet_filter: true,
        only_by_a_person: Some("only a person may block many addresses at once"),
        least: false,
        lasts: minutes(60),
        stays_open: "; every other address",
    }
    /// Let only so many packets a second of one address pass, in nftables, with a kernel timeout.
    LimitSource: {
        name: "limit-source",
        verb: "limit",
        target: TargetKind::Source,
        reversible: true,
        disruptive: false,
        lasting: false,
        in_packet_filter: true,
        only_by_a_person: None,
        least: true,
        lasts: minutes(10),
        stays_open: "; every other address",
    }
    /// Drop packets to one address that one user, cgroup or container sends, in nftables, with a kernel timeout.
    BlockDestination: {
        name: "block-destination",
        verb: "block",
        target: TargetKind::Destination,
        reversible: true,
        disruptive: false,
        lasting: false,
        in_packet_filter: true,
        only_by_a_person: None,
        least: false,
        lasts: minutes(10),
        stays_open: "; every other address",
    }
    /// Stop a process and everything below it from running, keeping it intact.
    FreezeTree: {
        name: "freeze-tree",
        verb: "freeze",
        target: TargetKind::ProcessTree,
        reversible: true,
        disruptive: false,
        lasting: false,
        in_packet_filter: false,
        only_by_a_person: None,
        least: true,
        lasts: minutes(10),
        stays_open: "; every other program",
    }
    /// End a process and everything below it. Cannot be undone.
    KillTree: {
        name: "kill-tree",
        verb: "kill",
        target: TargetKind::ProcessTree,
        reversible: false,
        disruptive: false,
        lasting: false,
        in_packet_filter: false,
        only_by_a_person: Some("to kill cannot be undone"),
        least: false,
        lasts: minutes(10),
        stays_open: "; every other program",
    }
    /// Lock an account and end its login sessions.
    DisableUser: {
        name: "disable-user",
        verb: "disable",
        target: TargetKind::User,
        reversible: true,
        disruptive: true,
        lasting: true,
        in_packet_filter: false,
        only_by_a_person: Some("an account is disabled by a person only"),
        least: false,
        lasts: minutes(60),
        stays_open: "; every other account",
    }
    /// Cut a container off its networks, or pause it.
    IsolateContainer: {
        name: "isolate-container",
        verb: "isolate",
        target: TargetKind::Container,
        reversible: true,
        disruptive: true,
        lasting: true,
        in_packet_filter: false,
        only_by_a_person: Some("a running container is cut off by a person only"),
        least: false,
        lasts: minutes(30),
        stays_open: "; other containers and the host",
    }
    /// Containment mode: outbound only to a whitelist, inbound limited, new SSH logins paused.
    ContainHost: {
        name: "contain-host",
        verb: "contain",
        target: TargetKind::Host,
        reversible: true,
        disruptive: true,
        lasting: false,
        in_packet_filter: true,
        only_by_a_person: None,
        least: false,
        lasts: minutes(10),
        stays_open: "; what is open now",
    }
    /// Restore a file that decides who gets in from a backup; only ever asked for by a person.
    RestoreFile: {
        name: "restore-file",
        verb: "restore",
        target: TargetKind::File,
        reversible: true,
        disruptive: true,
        lasting: true,
        in_packet_filter: false,
        only_by_a_person: Some("a file is put back by a person only"),
        least: false,
        lasts: minutes(10),
        stays_open: ", while it is open: test a new login before you confirm",
    }
}

impl ActionKind {
    /// Whether the host can be put back exactly as it was.
    pub fn is_reversible(self) -> bool {
        self.spec().reversible
    }

    /// Whether it may cut people off: undone unless a person confirms it in time.
    pub fn is_disruptive(self) -> bool {
        self.spec().disruptive
    }

    /// Whether its effect outlives a reboot.
    pub fn outlives_reboot(self) -> bool {
        self.spec().lasting
    }

    /// As a verb: "block".
    pub fn verb(self) -> &'static str {
        self.spec().verb
    }

    /// Its stable name, as in JSON.
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActionPlan;

    #[test]
    fn a_kind_bears_in_json_the_name_of_its_spec() {
        for kind in ActionKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
    }

    #[test]
    fn what_cannot_be_undone_or_cuts_people_off_for_long_is_never_done_alone() {
        for spec in ActionKind::ALL.map(ActionKind::spec) {
            let must_ask = !spec.reversible || spec.lasting;
            assert!(!must_ask || spec.only_by_a_person.is_some(), "{}", spec.name);
            assert!(!spec.least || !must_ask && !spec.disruptive, "{}: the least that helps hurts nobody for long", spec.name);
            assert!(!spec.lasting || spec.disruptive, "{}: what outlives a reboot is confirmed by a person", spec.name);
            assert!(spec.lasts <= ActionPlan::LONGEST && !spec.lasts.is_zero(), "{}", spec.name);
        }
    }
}
