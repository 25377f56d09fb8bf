//! Lists of patterns as ssh_config(5) has them: `*`, `?`, negation by `!`, and networks in the form ADDRESS/BITS.

use std::net::IpAddr;

/// What a list says of a name or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    /// A pattern that begins with `!` fits.
    Never,
    No,
}

/// A list separated by commas, against one text.
pub(super) fn list(patterns: &str, text: &str) -> Match {
    each(patterns, |pattern| wildcard(pattern.as_bytes(), text.as_bytes()))
}

/// The same against an address; names of hosts are not looked up, so they never fit.
pub(super) fn addresses(patterns: &str, addr: IpAddr) -> Match {
    let addr = addr.to_canonical();
    let text = addr.to_string();
    each(patterns, |pattern| network(pattern, addr).unwrap_or_else(|| wildcard(pattern.as_bytes(), text.as_bytes())))
}

fn each(patterns: &str, fits: impl Fn(&str) -> bool) -> Match {
    let mut found = Match::No;
    for pattern in patterns.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
        match pattern.strip_prefix('!') {
            Some(not) if fits(not) => return Match::Never,
            None if fits(pattern) => found = Match::Yes,
            _ => {}
        }
    }
    found
}

fn network(pattern: &str, addr: IpAddr) -> Option<bool> {
    let (network, bits) = pattern.split_once('/')?;
    let (network, bits): (IpAddr, u32) = (network.parse().ok()?, bits.parse().ok()?);
    let high = |value: u128, width: u32| if bits == 0 { 0 } else { value >> width.saturating_sub(bits) };
    Some(match (network.to_canonical(), addr) {
        (IpAddr::V4(a), IpAddr::V4(b)) => bits <= 32 && high(a.to_bits().into(), 32) == high(b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => bits <= 128 && high(a.to_bits(), 128) == high(b.to_bits(), 128),
        _ => false,
    })
}

/// `*` and `?`; looks back at most to the last star, so no pattern takes longer than pattern times text.
pub(super) fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == text.get(seen) => (at, seen) = (at + 1, seen + 1),
            _ => match star {
                Some((place, from)) => {
                    (at, seen) = (place + 1, from + 1);
                    star = Some((place, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_as_ssh_config_says() {
        for (pattern, text, fits) in
            [("*", "", true), ("a?c*", "abcdef", true), ("a?c", "ac", false), ("*.org", "x.org.uk", false), ("*a*b", "xaxxb", true)]
        {
            assert_eq!(wildcard(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
        assert_eq!((list("ann,!b*,*", "bob"), list("ann,bob", "bob"), list("", "bob")), (Match::Never, Match::Yes, Match::No));
        let at = |patterns: &str, addr: &str| addresses(patterns, addr.parse().unwrap());
        assert_eq!(at("203.0.113.0/24,!203.0.113.9", "203.0.113.9"), Match::Never);
        assert_eq!(at("203.0.113.0/24", "::ffff:203.0.113.9"), Match::Yes);
        assert_eq!(
            (at("2001:db8::/32", "2001:db9::1"), at("10.*", "10.1.2.3"), at("0.0.0.0/0", "9.9.9.9")),
            (Match::No, Match::Yes, Match::Yes)
        );
    }

    proptest! {
        #[test]
        fn no_pattern_breaks_it(pattern in "[*?a!/,0-9.:]{0,24}", text in "[ab.]{0,24}") {
            let _ = list(&pattern, &text);
            let _ = addresses(&pattern, "203.0.113.9".parse().unwrap());
        }
    }
}
