//! The words of `[vitals]` in policy.toml: which unit, listener, probe and name must be well.

use std::fmt;
use std::str::FromStr;

use bartizan_model::Protocol;

/// Units, listeners and probes that may be declared, each.
pub const MOST: usize = 32;

/// A port that must be open: `tcp 443`, `udp 53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Over which protocol.
    pub proto: Protocol,
    /// Which port, 1 to 65535.
    pub port: u16,
}

impl FromStr for Listener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is not a listener: write \"tcp 443\" or \"udp 53\"", text.escape_debug());
        let (proto, port) = text.split_once(' ').ok_or_else(wrong)?;
        let proto = match proto {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(wrong()),
        };
        let port = port.trim().parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        Ok(Self { proto, port })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.proto == Protocol::Tcp { "tcp" } else { "udp" }, self.port)
    }
}

/// What must be answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeclaredProbe {
    /// A page over HTTP or HTTPS.
    Http(String),
    /// A TCP connection: host name or address, port.
    Tcp(String, u16),
}

impl FromStr for DeclaredProbe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown = text.escape_debug();
            format!("\"{shown}\" is not a probe: write \"http://HOST/PATH\", \"https://HOST/PATH\" or \"tcp HOST:PORT\"")
        };
        let visible = text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !visible {
            return Err(wrong());
        }
        if let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) {
            let host = rest.split('/').next().unwrap_or_default();
            return if host.is_empty() || text.contains(' ') { Err(wrong()) } else { Ok(Self::Http(text.to_owned())) };
        }
        let (host, port) = text.strip_prefix("tcp ").and_then(|place| place.trim().rsplit_once(':')).ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        if host.is_empty() || host.contains(' ') { Err(wrong()) } else { Ok(Self::Tcp(host.to_owned(), port)) }
    }
}

impl fmt::Display for DeclaredProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(url),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp [{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp {host}:{port}"),
        }
    }
}

/// A unit's name as systemd.unit(5) has it: it is handed to `systemctl`, so nothing that looks like an option.
pub(super) fn unit(text: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let named = text.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && !kind.is_empty());
    if text.len() <= 255 && !text.starts_with('-') && named && text.bytes().all(fits) {
        return Ok(());
    }
    Err(format!("\"{}\" is not the name of a unit: write it whole, like \"nginx.service\"", text.escape_debug()))
}

/// A domain name of RFC 1035 section 2.3.4, or nothing.
pub(super) fn name(text: &str) -> Result<(), String> {
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.is_empty() || text.len() <= 253 && bare.split('.').all(label) {
        return Ok(());
    }
    Err(format!("\"{}\" is not a name: write \"example.org\", \".\" for the root, or nothing to ask none", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_or_refused_whole() {
        assert_eq!("tcp 443".parse(), Ok(Listener { proto: Protocol::Tcp, port: 443 }));
        for bad in ["tcp", "tcp 0", "tcp 99999", "sctp 1", "443", "tcp -1"] {
            assert!(bad.parse::<Listener>().unwrap_err().contains("is not a listener"), "{bad}");
        }
        assert_eq!("tcp [::1]:22".parse(), Ok(DeclaredProbe::Tcp("::1".into(), 22)));
        assert_eq!("tcp localhost:5432".parse::<DeclaredProbe>().unwrap().to_string(), "tcp localhost:5432");
        assert_eq!("https://127.0.0.1/health".parse(), Ok(DeclaredProbe::Http("https://127.0.0.1/health".into())));
        for bad in ["http://", "ftp://x", "tcp x", "tcp :1", "http://x y/", "tcp x:0", "http://x\n"] {
            assert!(bad.parse::<DeclaredProbe>().unwrap_err().contains("is not a probe"), "{bad}");
        }
        assert!(unit("nginx.service").is_ok() && unit("-x.service").is_err() && unit("nginx").is_err() && unit("a b.service").is_err());
        assert!(name(".").is_ok() && name("").is_ok() && name("example.org").is_ok() && name("a..b").is_err() && name("a b").is_err());
    }
}
