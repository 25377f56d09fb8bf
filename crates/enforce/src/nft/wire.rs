//! Netlink messages of the netfilter family (include/uapi/linux/netfilter/nfnetlink.h): transactions, questions, answers.

use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bartizan_sys::netlink::message::{Writer, messages};
use bartizan_sys::netlink::{Family, Listing, Next, Socket as Netlink};

use super::validated::ValidatedBatch;
use bartizan_model::Unpoisoned as _;

pub(super) use bartizan_sys::netlink::message::{attribute as attr, attributes as attrs};

/// This is a request.
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const APPEND: u16 = 0x800;
const NFTABLES: u16 = 10;
const CONNTRACK: u16 = 1;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// The most that one dump may bring: 65,536 elements of each of four sets need about 20 MB.
const DUMP_LIMIT: usize = 32 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long [`Socket::hear`] waits.
const SILENCE: Duration = Duration::from_millis(500);

/// How a change treats what is already there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Existing {
    /// Make it; an equal one is an error.
    Refuse,
    /// Make one more, at the end.
    Append,
    /// Only change or remove.
    Need,
}

/// A transaction under construction: all of its changes take, or none.
#[derive(Debug)]
pub(super) struct Batch {
    writer: Writer,
    changes: usize,
}

impl Batch {
    /// An open transaction.
    pub(super) fn begin() -> Self {
        let mut writer = Writer::default();
        writer.message(BATCH_BEGIN, REQUEST, 0, |w| w.put(&header(0, NFTABLES)));
        Self { writer, changes: 0 }
    }

    /// One change inside the transaction, acknowledged by itself.
    pub(super) fn change(&mut self, kind: u16, existing: Existing, family: u8, body: impl FnOnce(&mut Writer)) {
        let flags = REQUEST
            | ACK
            | match existing {
                Existing::Refuse => CREATE | EXCLUSIVE,
                Existing::Append => CREATE | APPEND,
                Existing::Need => 0,
            };
        self.changes += 1;
        self.writer.message((NFTABLES << 8) | kind, flags, self.changes as u32, |w| {
            w.put(&header(family, 0));
            body(w);
        });
    }

    /// The bytes of the whole transaction, closed, and how many changes it holds.
    pub(super) fn close(mut self) -> (Vec<u8>, usize) {
        self.writer.message(BATCH_END, REQUEST, self.changes as u32, |w| w.put(&header(0, NFTABLES)));
        (self.writer.into_bytes(), self.changes)
    }

    /// The same without its end: the kernel tries each change, answers, and takes all of them back.
    pub(super) fn leave_open(self) -> (Vec<u8>, usize) {
        (self.writer.into_bytes(), self.changes)
    }
}

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// A netlink socket to netfilter, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Socket(Netlink, Mutex<()>);

impl Socket {
    /// One that asks and orders.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Netlink::open(Family::Netfilter, PATIENCE)?, Mutex::default()))
    }

    /// A socket that hears what this group of the kernel tells.
    pub(super) fn listening(group: u32) -> io::Result<Self> {
        let groups = 1_u32.checked_shl(group.wrapping_sub(1)).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(Netlink::listening(Family::Netfilter, groups, SILENCE)?, Mutex::default()))
    }

    /// Held from a question to its last answer: two threads may share the socket.
    fn my_turn(&self) -> MutexGuard<'_, ()> {
        self.1.lock().unpoisoned()
    }

    /// Sends a transaction that was sealed; the kernel has carried it out, or none of it, when this returns.
    pub(super) fn commit(&self, sealed: &ValidatedBatch) -> io::Result<()> {
        let (wanted, _turn) = (sealed.changes(), self.my_turn());
        self.0.send(sealed.bytes())?;
        // nfnetlink works inside sendmsg(2): every reply is queued already, so an empty queue means the end.
        let (mut acks, mut failure) = (0, None);
        while let Some(bytes) = self.0.receive_now()? {
            for message in messages(&bytes) {
                match message.error() {
                    Some(0) => acks += 1,
                    Some(code) => failure = failure.or(Some(code)),
                    None => {}
                }
            }
        }
        match failure {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None if acks < wanted => Err(io::Error::other(format!("the kernel acknowledged {acks} of {wanted} changes"))),
            None => Ok(()),
        }
    }

    /// All answers to one question, each given to `each` as its attributes. Repeated when the kernel says that
    /// the listing changed while it was read.
    pub(super) fn dump(&self, kind: u16, family: u8, body: impl Fn(&mut Writer)) -> io::Result<Vec<Vec<u8>>> {
        let _turn = self.my_turn();
        for _ in 0..5 {
            self.question((NFTABLES << 8) | kind, DUMP, family, &body)?;
            if let (answers, Listing::Whole) = self.read_dump(DUMP_LIMIT, |_| true)? {
                return Ok(answers);
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "the listing kept changing while it was read"))
    }

    /// The answers of connection tracking to one question that `keep` wants. Connections come and go always, so one
    /// reading is taken as it is; at most `most` bytes are read.
    pub(super) fn dump_tracked(&self, kind: u16, family: u8, most: usize, keep: impl Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let _turn = self.my_turn();
        self.question((CONNTRACK << 8) | kind, DUMP, family, &|_: &mut Writer| {})?;
        match self.read_dump(most, keep)? {
            (answers, Listing::Whole) => Ok(answers),
            (_, Listing::Interrupted) => Ok(Vec::new()),
        }
    }

    /// One order to connection tracking, acknowledged.
    pub(super) fn order_tracked(&self, kind: u16, family: u8, body: impl Fn(&mut Writer)) -> io::Result<()> {
        let _turn = self.my_turn();
        self.question((CONNTRACK << 8) | kind, ACK, family, &body)?;
        self.first_error()?.ok_or_else(|| io::Error::other("the kernel did not acknowledge"))
    }

    /// The answer to one question about one thing; an error of the kernel when there is none such.
    pub(super) fn ask(&self, kind: u16, family: u8, body: impl Fn(&mut Writer)) -> io::Result<()> {
        let _turn = self.my_turn();
        self.question((NFTABLES << 8) | kind, 0, family, &body)?;
        self.first_error().map(Option::unwrap_or_default)
    }

    /// What the next datagram acknowledges; `None` when it acknowledges nothing.
    fn first_error(&self) -> io::Result<Option<()>> {
        let bytes = self.0.receive()?;
        match messages(&bytes).find_map(|message| message.error()) {
            Some(0) => Ok(Some(())),
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Ok(None),
        }
    }

    fn question(&self, kind: u16, flags: u16, family: u8, body: &impl Fn(&mut Writer)) -> io::Result<()> {
        let mut request = Writer::default();
        request.message(kind, REQUEST | flags, 0, |w| {
            w.put(&header(family, 0));
            body(w);
        });
        self.0.send(request.bytes())
    }

    fn read_dump(&self, most: usize, keep: impl Fn(&[u8]) -> bool) -> io::Result<(Vec<Vec<u8>>, Listing)> {
        let mut answers = Vec::new();
        let listing = self.0.answers(most, |message| {
            // Four bytes of nfgenmsg stand before the attributes.
            answers.extend(message.body.get(4..).filter(|attributes| keep(attributes)).map(<[u8]>::to_vec));
            Next::More
        })?;
        Ok((answers, listing))
    }

    /// What a [`Socket::listening`] one hears next of nftables; nothing after half a second of silence.
    pub(super) fn hear(&self) -> io::Result<Vec<Heard>> {
        let bytes = match self.0.receive() {
            Err(why) if why.kind() == io::ErrorKind::TimedOut => return Ok(Vec::new()),
            heard => heard?,
        };
        let ours = messages(&bytes).filter(|message| message.kind >> 8 == NFTABLES);
        let heard = ours.filter_map(|message| {
            let attributes = message.body.get(4..)?.to_vec();
            Some(Heard { kind: message.kind & 0xff, family: *message.body.first()?, attributes })
        });
        Ok(heard.collect())
    }

    /// Whether nothing waits to be read, nor an error to be told.
    pub(super) fn is_empty(&self) -> bool {
        let _turn = self.my_turn();
        self.0.is_empty()
    }
}

/// One message of nftables that was not an answer.
#[derive(Debug)]
pub(super) struct Heard {
    /// Which order it tells of.
    pub(super) kind: u16,
    pub(super) family: u8,
    pub(super) attributes: Vec<u8>,
}

/// A zero-ended name.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}
