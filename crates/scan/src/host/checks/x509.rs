//! The end and the name of a certificate: just enough of PEM (RFC 7468), DER (X.690) and X.509 (RFC 5280).

use bartizan_model::Timestamp;
use chrono::NaiveDateTime;

/// Bytes of one certificate that are read.
const LONGEST: usize = 64 << 10;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
/// 2.5.4.3, the common name.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// What is read of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The common name of its subject; bytes as they stand.
    pub(super) name: Vec<u8>,
    /// When it ends.
    pub(super) until: Timestamp,
}

/// The first certificate of a PEM file: the one of the server itself.
pub(super) fn first(pem: &[u8]) -> Option<Certificate> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let begin = memchr::memmem::find(pem, BEGIN)? + BEGIN.len();
    let body = pem.get(begin..)?;
    let body = body.get(..memchr::memmem::find(body, b"-----END")?.min(LONGEST))?;
    parse(&base64(body)?)
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

/// Tag, content and what follows of one DER value.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let bytes = usize::from(length & 0x7f);
        if !(1..=4).contains(&bytes) {
            return None;
        }
        let length = rest.get(..bytes)?.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        (length, rest.get(bytes..)?)
    };
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

fn parse(der: &[u8]) -> Option<Certificate> {
    let (_, certificate, _) = value(der).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, signed, _) = value(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (first, _, after) = value(signed)?;
    // The version may be left out; then the serial number is first.
    let rest = if first == VERSION { value(after)?.2 } else { after };
    let (_, _, rest) = value(rest)?;
    let (_, _, rest) = value(rest)?;
    let (_, validity, rest) = value(rest)?;
    let (_, subject, _) = value(rest)?;
    let (_, _, end) = value(validity)?;
    let (tag, text, _) = value(end)?;
    Some(Certificate { name: common_name(subject).unwrap_or_default(), until: moment(tag, text)? })
}

fn moment(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let whole = match tag {
        // RFC 5280, 4.1.2.5.1: two digits of the year, 50 to 99 are of the last century.
        UTC_TIME => format!("{}{text}", if text.get(..2)?.parse::<u8>().ok()? >= 50 { "19" } else { "20" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%SZ").ok().map(|at| at.and_utc())
}

fn common_name(subject: &[u8]) -> Option<Vec<u8>> {
    let mut rest = subject;
    while let Some((_, set, after)) = value(rest) {
        let (_, pair, _) = value(set)?;
        let (_, kind, text) = value(pair)?;
        if kind == COMMON_NAME {
            return value(text).map(|(_, name, _)| name.to_vec());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x82, (content.len() >> 8) as u8, content.len() as u8], content].concat()
    }

    /// A certificate of which only name and end are real.
    pub(crate) fn pem(name: &str, until: &str) -> String {
        let time = |text: &str| der(UTC_TIME, text.as_bytes());
        let validity = der(SEQUENCE, &[time("250101000000Z"), time(until)].concat());
        let pair = der(SEQUENCE, &[der(6, &COMMON_NAME), der(12, name.as_bytes())].concat());
        let subject = der(SEQUENCE, &der(0x31, &pair));
        let parts = [der(VERSION, &[2, 1, 2]), der(2, &[7]), der(SEQUENCE, &[]), der(SEQUENCE, &[]), validity, subject];
        let whole = der(SEQUENCE, &der(SEQUENCE, &parts.concat()));
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let letters = whole.chunks(3).flat_map(|three| {
            let bits = three.iter().chain(&[0, 0]).take(3).fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
            (0..=three.len()).map(move |at| LETTERS[(bits >> (18 - 6 * at) & 63) as usize] as char)
        });
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", letters.collect::<String>())
    }

    #[test]
    fn name_and_end_are_read() {
        let found = first(pem("a.example", "300102030405Z").as_bytes()).unwrap();
        assert_eq!((found.name.as_slice(), found.until.to_rfc3339()), (&b"a.example"[..], "2030-01-02T03:04:05+00:00".to_owned()));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = first(&[b"-----BEGIN CERTIFICATE-----", &bytes[..], b"-----END"].concat());
        }
    }
}
