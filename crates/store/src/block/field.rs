//! How single values stand in a block: small numbers in few bytes, texts with their length before them.

use std::sync::Arc;

use bartizan_model::{Ancestor, BootId, ExeFile, HostText, Namespaces, ProcessKey, Root, ServiceRole, Sha256, Variable};

/// What is left of a block while it is read. Every step says `None` at the end of the bytes: the block is damaged then.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// A length before what it measures. It cannot exceed what is left, so nothing is allocated for a lie.
    pub(super) fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(u64::take(self)?).ok()?;
        (length <= self.0.len()).then_some(length)
    }
}

/// A value that can stand in a block.
pub(super) trait Field: Sized {
    /// Writes it.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it; `None` when these bytes are no such value.
    fn take(input: &mut Input<'_>) -> Option<Self>;
}

/// A signed number as an unsigned one that is small when the number is near zero (zigzag, as in Protocol Buffers).
pub(super) fn zigzag(value: i64) -> u64 {
    (value.wrapping_shl(1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Seven bits a byte, lowest first; the top bit says that more follow (LEB128).
impl Field for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = input.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl Field for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        zigzag(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        u64::take(input).map(unzigzag)
    }
}

impl Field for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        u64::take(input)?.try_into().ok()
    }
}

impl Field for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        input.byte()
    }
}

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        match input.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        Some(if bool::take(input)? { Some(T::take(input)?) } else { None })
    }
}

fn put_all<T: Field>(values: &[T], out: &mut Vec<u8>) {
    (values.len() as u64).put(out);
    values.iter().for_each(|value| value.put(out));
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self, out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        (0..input.length()?).map(|_| T::take(input)).collect()
    }
}

impl<T: Field> Field for Arc<[T]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self, out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        Vec::take(input).map(Self::from)
    }
}

pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u64).put(out);
    out.extend_from_slice(bytes);
}

pub(super) fn take_bytes<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let length = input.length()?;
    input.bytes(length)
}

impl Field for HostText {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        take_bytes(input).map(Self::from)
    }
}

impl Field for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        std::str::from_utf8(take_bytes(input)?).ok().map(Self::from)
    }
}

/// A struct is its fields, one after the other.
macro_rules! record {
    ($name:ident { $($field:ident),* }) => {
        impl Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }

            fn take(input: &mut Input<'_>) -> Option<Self> {
                Some(Self { $($field: Field::take(input)?),* })
            }
        }
    };
}

record!(ProcessKey { boot, pid, start });
record!(ExeFile { device, inode, memfd, deleted, changed, sha256 });
record!(Namespaces { mnt, pid, user });
record!(Variable { name, value });
record!(Ancestor { key, exe });
record!(Root { role, key, exe });

impl Field for BootId {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        input.bytes(4)?.try_into().ok().map(|bytes| Self(u32::from_le_bytes(bytes)))
    }
}

impl Field for Sha256 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        input.bytes(32)?.try_into().ok().map(Self)
    }
}

/// Every role, at the number by which it is stored: a new one goes at the end.
pub(super) const ROLES: [ServiceRole; 11] = [
    ServiceRole::WebServer,
    ServiceRole::Database,
    ServiceRole::MailServer,
    ServiceRole::NetworkService,
    ServiceRole::SshServer,
    ServiceRole::LoginSession,
    ServiceRole::Scheduler,
    ServiceRole::PackageManager,
    ServiceRole::ContainerRuntime,
    ServiceRole::Agent,
    ServiceRole::SecurityService,
];

impl Field for ServiceRole {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::WebServer => 0,
            Self::Database => 1,
            Self::MailServer => 2,
            Self::NetworkService => 3,
            Self::SshServer => 4,
            Self::LoginSession => 5,
            Self::Scheduler => 6,
            Self::PackageManager => 7,
            Self::ContainerRuntime => 8,
            Self::Agent => 9,
            Self::SecurityService => 10,
        });
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        ROLES.get(usize::from(input.byte()?)).copied()
    }
}
