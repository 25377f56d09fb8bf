//! The pieces of our table: one for each kind of thing that actions put there. Only what is live has its sets, rules and
//! hooks, so that packets pay for nothing else.

use super::element::{Element, Set};

/// What one kind of element needs in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// Blocks of sources, IPv4.
    BlockIn4,
    /// The same, IPv6.
    BlockIn6,
    /// Blocks of destinations, IPv4.
    BlockOut4,
    /// The same, IPv6.
    BlockOut6,
    /// Limits of sources, IPv4.
    Limit4,
    /// The same, IPv6.
    Limit6,
    /// Destinations denied to a user, IPv4.
    DenyUid4,
    /// The same, IPv6.
    DenyUid6,
    /// Destinations denied to a cgroup, IPv4.
    DenyCgroup4,
    /// The same, IPv6.
    DenyCgroup6,
    /// Destinations denied to what is forwarded, IPv4.
    DenyFrom4,
    /// The same, IPv6.
    DenyFrom6,
    /// Containment, both families.
    Contain,
}

impl Piece {
    /// All of them, in their order on the page.
    pub const ALL: [Self; 13] = [
        Self::BlockIn4,
        Self::BlockIn6,
        Self::BlockOut4,
        Self::BlockOut6,
        Self::Limit4,
        Self::Limit6,
        Self::DenyUid4,
        Self::DenyUid6,
        Self::DenyCgroup4,
        Self::DenyCgroup6,
        Self::DenyFrom4,
        Self::DenyFrom6,
        Self::Contain,
    ];

    /// The set that is there exactly when the piece is.
    pub fn mark(self) -> Set {
        match self {
            Self::BlockIn4 => Set::BlockIn4,
            Self::BlockIn6 => Set::BlockIn6,
            Self::BlockOut4 => Set::BlockOut4,
            Self::BlockOut6 => Set::BlockOut6,
            Self::Limit4 => Set::Limit4,
            Self::Limit6 => Set::Limit6,
            Self::DenyUid4 => Set::DenyUid4,
            Self::DenyUid6 => Set::DenyUid6,
            Self::DenyCgroup4 => Set::DenyCgroup4,
            Self::DenyCgroup6 => Set::DenyCgroup6,
            Self::DenyFrom4 => Set::DenyFrom4,
            Self::DenyFrom6 => Set::DenyFrom6,
            Self::Contain => Set::ContainOut,
        }
    }

    /// Its name on the page.
    pub fn name(self) -> &'static str {
        if self == Self::Contain { "contain" } else { self.mark().name() }
    }

    /// The action that cannot be taken without it, and what of the kernel it needs beyond sets, counters and verdicts.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BlockIn4 | Self::BlockIn6 | Self::BlockOut4 | Self::BlockOut6 => {
                ("block-address", "hash sets with timeouts in family inet (CONFIG_NF_TABLES_INET)")
            }
            Self::Limit4 | Self::Limit6 => ("limit-source", "a limit in a set's element (Linux 5.7, CONFIG_NFT_LIMIT)"),
            Self::DenyUid4 | Self::DenyUid6 => ("block-destination for a user", "meta skuid"),
            Self::DenyCgroup4 | Self::DenyCgroup6 => {
                ("block-destination for a cgroup", "socket cgroupv2 (Linux 5.13, CONFIG_NFT_SOCKET, CONFIG_SOCK_CGROUP_DATA)")
            }
            Self::DenyFrom4 | Self::DenyFrom6 => ("block-destination for a container", "sets of address pairs"),
            Self::Contain => {
                ("contain-host", "sets that rules fill, meta iifkind (Linux 5.6), a limit in a set's element (Linux 5.7, CONFIG_NFT_LIMIT)")
            }
        }
    }

    /// The piece without which this set's elements do nothing; none of a set that only goes with others.
    fn of(set: Set) -> Option<Self> {
        Some(match set {
            Set::BlockIn4 => Self::BlockIn4,
            Set::BlockIn6 => Self::BlockIn6,
            Set::BlockOut4 => Self::BlockOut4,
            Set::BlockOut6 => Self::BlockOut6,
            Set::Limit4 => Self::Limit4,
            Set::Limit6 => Self::Limit6,
            Set::DenyTo4 | Set::DenyTo6 => return None,
            Set::DenyUid4 => Self::DenyUid4,
            Set::DenyUid6 => Self::DenyUid6,
            Set::DenyCgroup4 => Self::DenyCgroup4,
            Set::DenyCgroup6 => Self::DenyCgroup6,
            Set::DenyFrom4 => Self::DenyFrom4,
            Set::DenyFrom6 => Self::DenyFrom6,
            Set::ContainOut | Set::ContainIn | Set::ContainSsh | Set::Keep4 | Set::Keep6 | Set::Answer4 | Set::Answer6 => Self::Contain,
        })
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Any number of pieces: the shape of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pieces(u16);

impl Pieces {
    /// Every one.
    pub fn all() -> Self {
        Piece::ALL.into_iter().collect()
    }

    /// What these elements need.
    pub fn of(elements: &[Element]) -> Self {
        elements.iter().filter_map(|element| Piece::of(element.member.place().set)).collect()
    }

    /// What elements of this set need.
    pub fn of_set(set: Set) -> Self {
        Piece::of(set).into_iter().collect()
    }

    /// Whether a table with these pieces has this set.
    pub fn hold(self, set: Set) -> bool {
        match set {
            Set::DenyTo4 => self.has(Piece::DenyUid4) || self.has(Piece::DenyCgroup4),
            Set::DenyTo6 => self.has(Piece::DenyUid6) || self.has(Piece::DenyCgroup6),
            other => Piece::of(other).is_some_and(|piece| self.has(piece)),
        }
    }

    /// Whether it is among them.
    pub fn has(self, piece: Piece) -> bool {
        self.0 & piece.bit() != 0
    }

    /// Whether all of the other are among them.
    pub fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// None at all.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Piece> {
        Piece::ALL.into_iter().filter(move |piece| self.has(*piece))
    }
}

impl FromIterator<Piece> for Pieces {
    fn from_iter<T: IntoIterator<Item = Piece>>(pieces: T) -> Self {
        Self(pieces.into_iter().fold(0, |bits, piece| bits | piece.bit()))
    }
}
