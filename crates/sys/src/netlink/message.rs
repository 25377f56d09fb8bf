//! Netlink messages (include/uapi/linux/netlink.h): written, and read without trust: every length is checked, and what does not fit
//! ends the reading.

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;
/// NLA_TYPE_MASK: the kind of an attribute without its flags.
const KIND: u16 = 0x3fff;

/// Bytes of one or more messages under construction.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// One message; the kernel fills in our port.
    pub fn message(&mut self, kind: u16, flags: u16, sequence: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.put(&[0; 4]);
        self.put(&kind.to_ne_bytes());
        self.put(&flags.to_ne_bytes());
        self.put(&sequence.to_ne_bytes());
        self.put(&[0; 4]);
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.patch(start, &length.to_ne_bytes());
    }

    /// Bytes as they are: the head of the family, before the attributes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One attribute.
    pub fn attr(&mut self, kind: u16, value: &[u8]) {
        self.put(&((4 + value.len()) as u16).to_ne_bytes());
        self.put(&kind.to_ne_bytes());
        self.put(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// One attribute holding a number, most significant byte first as netfilter wants it.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_be_bytes());
    }

    /// One attribute holding a zero-ended name.
    pub fn name(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes);
    }

    /// One attribute holding attributes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.put(&[0; 2]);
        self.put(&(kind | NESTED).to_ne_bytes());
        body(self);
        let length = (self.bytes.len() - start) as u16;
        self.patch(start, &length.to_ne_bytes());
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    /// What was written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All that was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// One message: its header before a body that is written already.
pub fn header(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.message(kind, flags, 0, |w| w.put(body));
    writer.into_bytes()
}

/// One message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type; below 16 the same in every family (NLMSG_*).
    pub kind: u16,
    /// NLM_F_*.
    pub flags: u16,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// The number with which an error or the end of a listing begins; EBADMSG, negative, when there is none.
    pub fn number(&self) -> i32 {
        number_at(self.body, 0).map_or(-libc::EBADMSG, u32::cast_signed)
    }

    /// The errno of an error message, 0 for an acknowledgement; `None` when it is neither.
    pub fn error(&self) -> Option<i32> {
        (self.kind == super::ERROR).then(|| self.number().wrapping_neg())
    }
}

/// The messages of one datagram.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = number_at(rest, 0)? as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let flags = u16::from_ne_bytes(*rest.get(6..)?.first_chunk()?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, body })
    })
}

/// The attributes in `bytes`: kind and value.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & KIND;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of this kind; empty when there is none.
pub fn attribute(bytes: &[u8], kind: u16) -> &[u8] {
    attributes(bytes).find(|(found, _)| *found == kind).map_or(&[], |(_, value)| value)
}

/// The 32-bit number at `at`, in the machine's order.
pub fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_from_outside_can_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = (message.error(), attributes(message.body).count());
            }
            attributes(&bytes).for_each(|(_, value)| assert!(attributes(value).count() <= value.len()));
        }
    }
}
