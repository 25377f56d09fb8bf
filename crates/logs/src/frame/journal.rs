//! One entry of `journalctl --output=json`: the message, and who sent it as the journal itself saw it.
//!
//! Fields that begin with `_` are set by journald from what the kernel attached to the message; a sender cannot set them
//! (systemd.journal-fields(7)). Bytes that are no UTF-8 come as an array of numbers, and a field given twice as an array of texts.

use std::borrow::Cow;
use std::fmt;

use bartizan_model::Timestamp;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de::IgnoredAny};

use super::{Frame, Sender};
use crate::record::MAX_NAME;
use crate::scan::{clip, number};

/// A field of an entry, whichever way it is written.
#[derive(Default)]
struct Field<'a>(Option<Cow<'a, [u8]>>);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Field<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, an array of bytes, or null")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Field(Some(Cow::Borrowed(text.as_bytes()))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Field(Some(Cow::Owned(text.as_bytes().to_vec()))))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Field(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let (mut bytes, mut first) = (Vec::new(), None);
                while let Some(item) = items.next_element::<Item>()? {
                    match item {
                        Item::Byte(byte) => bytes.push(byte),
                        // Given several times: nothing says which is meant, so the first counts.
                        Item::Text(text) => first = first.or(Some(text)),
                        Item::Other(IgnoredAny) => {}
                    }
                }
                Ok(Field(Some(Cow::Owned(first.map_or(bytes, String::into_bytes)))))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Byte(u8),
    Text(String),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "MESSAGE")]
    message: Field<'a>,
    #[serde(borrow, default, rename = "SYSLOG_IDENTIFIER")]
    tag: Field<'a>,
    #[serde(borrow, default, rename = "_COMM")]
    comm: Field<'a>,
    #[serde(borrow, default, rename = "_EXE")]
    exe: Field<'a>,
    #[serde(borrow, default, rename = "_UID")]
    uid: Field<'a>,
    #[serde(borrow, default, rename = "_PID")]
    pid: Field<'a>,
    #[serde(borrow, default, rename = "_TRANSPORT")]
    transport: Field<'a>,
    #[serde(borrow, default, rename = "CONTAINER_ID")]
    container_id: Field<'a>,
    #[serde(borrow, default, rename = "CONTAINER_ID_FULL")]
    container_id_full: Field<'a>,
    #[serde(borrow, default, rename = "CONTAINER_NAME")]
    container_name: Field<'a>,
    #[serde(borrow, default, rename = "__REALTIME_TIMESTAMP")]
    realtime: Field<'a>,
}

/// Programs that write into the journal what a container printed: runtimes, their shims, and clients that a unit runs. Whatever follows
/// `containerd-shim` is one too.
const RUNTIMES: [&[u8]; 14] = [
    b"dockerd", b"docker", b"docker-compose", b"containerd", b"nerdctl", b"conmon", b"conmonrs", b"podman", b"crio", b"runc", b"crun",
    b"lxc-start", b"kubelet", b"systemd-nspawn",
];

impl Entry<'_> {
    /// Whether a container printed it. Docker and Podman set the `CONTAINER_` fields, which anybody could set: it takes trust away only.
    fn is_of_a_container(&self) -> bool {
        let named = [&self.container_id, &self.container_id_full, &self.container_name].iter().any(|field| field.0.is_some());
        named || self.exe.0.as_deref().is_some_and(is_runtime)
    }
}

fn is_runtime(exe: &[u8]) -> bool {
    let exe = exe.strip_suffix(b" (deleted)").unwrap_or(exe);
    let name = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    RUNTIMES.contains(&name) || name.starts_with(b"containerd-shim")
}

impl Field<'_> {
    fn number(&self) -> Option<u64> {
        number(self.0.as_deref()?)
    }

    fn small(&self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }
}

/// Takes the frame off an entry; `out` holds the bytes that the answer borrows.
pub(crate) fn unwrap<'a>(line: &[u8], out: &'a mut Vec<u8>) -> Option<Frame<'a>> {
    let entry: Entry<'_> = serde_json::from_slice(line).ok()?;
    let message = entry.message.0.as_deref()?;
    let tag = clip(entry.tag.0.as_deref().or(entry.comm.0.as_deref()).unwrap_or_default(), MAX_NAME);
    let exe = entry.exe.0.as_deref().map(|exe| clip(exe, 4096));
    out.clear();
    out.extend_from_slice(tag);
    out.extend_from_slice(exe.unwrap_or_default());
    out.extend_from_slice(message);
    let (transport, contained) = (entry.transport.0.as_deref(), entry.is_of_a_container());
    let at = entry.realtime.number().and_then(|micros| Timestamp::from_timestamp_micros(i64::try_from(micros).ok()?));
    let (has_exe, exe_length) = (exe.is_some(), exe.map_or(0, <[u8]>::len));
    let (tag, rest) = out.split_at_checked(tag.len())?;
    let (exe, message) = rest.split_at_checked(exe_length)?;
    let sender = match transport {
        Some(b"kernel") => Sender::Kernel,
        _ if contained => Sender::Container,
        _ => Sender::Process { uid: entry.uid.small(), exe: has_exe.then_some(exe), printed: transport == Some(b"stdout") },
    };
    Some(Frame { at, tag, pid: entry.pid.small(), message, repeated: 1, sender })
}

/// The cursor of an entry, to go on from there after a restart: `journalctl --after-cursor=`.
pub fn cursor(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Cursor {
        #[serde(rename = "__CURSOR")]
        cursor: String,
    }
    serde_json::from_slice::<Cursor>(line).ok().map(|entry| entry.cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sent_it_comes_from_fields_that_a_sender_cannot_set() {
        let line = br#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1764324910000001","_TRANSPORT":"syslog","_UID":"1000",
            "_EXE":"/usr/bin/logger","_COMM":"logger","_PID":"77","SYSLOG_PID":"1","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"hi"}"#;
        let mut out = Vec::new();
        let frame = unwrap(line, &mut out).unwrap();
        assert_eq!((frame.tag, frame.pid, frame.message), (&b"sshd"[..], Some(77), &b"hi"[..]));
        assert_eq!(frame.sender, Sender::Process { uid: Some(1000), exe: Some(b"/usr/bin/logger"), printed: false });
        assert_eq!(frame.at.unwrap().timestamp_micros(), 1_764_324_910_000_001);
        assert_eq!(cursor(line).as_deref(), Some("s=1;i=2"));
    }

    #[test]
    fn bytes_and_repeated_fields_are_read_and_nonsense_is_refused() {
        let mut out = Vec::new();
        let frame = unwrap(br#"{"MESSAGE":[104,105,255],"SYSLOG_IDENTIFIER":["sshd","cron"],"_TRANSPORT":"kernel"}"#, &mut out).unwrap();
        assert_eq!((frame.message, frame.tag, frame.sender), (&b"hi\xff"[..], &b"sshd"[..], Sender::Kernel));
        for line in [&b"{}"[..], b"", b"[]", br#"{"MESSAGE":null}"#, br#"{"MESSAGE":"x""#] {
            assert!(unwrap(line, &mut out).is_none());
        }
    }
}
