//! fail2ban's fields: `<HOST>`, `<ADDR>`, `<F-USER>...</F-USER>` and their kin made into groups of a regular expression.

/// An IPv4 address, plain or in IPv6's clothes.
const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>\d{1,3}(?:\.\d{1,3}){3})";
/// An IPv6 address. Around either there may be brackets.
const IP6: &str = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))";
/// A name of a host.
const DNS: &str = r"(?P<dns>[\w\-.^_]*\w)";

/// Bytes of the name of a field.
const MAX_NAME: usize = 64;

/// Groups that say who it was: without one of them, nothing can be counted.
const IDENTIFIES: [&str; 6] = ["ip4", "ip6", "dns", "host", "fid", "mlfid"];

/// Whether a group of this name says who it was.
pub(crate) fn identifies(name: &str) -> bool {
    IDENTIFIES.contains(&name)
}

/// Whether a group of this name is lines passed over by `<SKIPLINES>`.
pub(crate) fn skipped_group(name: &str) -> bool {
    name.starts_with("skiplines")
}

/// Puts groups in the place of fields. What is between brackets and no field stays as it is.
pub(super) fn expand(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    let (mut rest, mut skips) = (text, 0);
    while let Some(at) = rest.find('<') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let inside = rest.get(at + 1..).unwrap_or_default();
        let group = out.ends_with("(?P") || out.ends_with("(?");
        let end = inside.bytes().take(MAX_NAME).position(|byte| byte == b'>').filter(|_| !group);
        let name = end.and_then(|end| inside.get(..end));
        match name.and_then(|name| field(name, &mut skips).map(|put| (name.len(), put))) {
            Some((length, put)) => {
                out.push_str(&put);
                rest = inside.get(length + 1..).unwrap_or_default();
            }
            None => {
                out.push('<');
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

fn field(name: &str, skips: &mut u32) -> Option<String> {
    Some(match name {
        "HOST" => format!(r"(?:\[?(?:{IP4}|{IP6})\]?|{DNS})"),
        "ADDR" => format!(r"\[?(?:{IP4}|{IP6})\]?"),
        "SUBNET" => format!(r"\[?(?:{IP4}|{IP6})(?:/(?P<cidr>\d+))?\]?"),
        "IP4" => IP4.to_owned(),
        "IP6" => format!(r"\[?{IP6}\]?"),
        "DNS" => DNS.to_owned(),
        "CIDR" => r"(?P<cidr>\d+)".to_owned(),
        "SKIPLINES" => {
            *skips += 1;
            format!(r"\n(?P<skiplines{skips}>(?:.*\n)*?)")
        }
        _ => {
            if let Some(closing) = name.strip_prefix("/F-") {
                return is_name(closing).then(|| ")".to_owned());
            }
            let name = name.strip_prefix("F-")?;
            match name.strip_suffix('/') {
                Some(name) => is_name(name).then(|| format!(r"(?P<{}>\S+)", group_name(name)))?,
                None => is_name(name).then(|| format!("(?P<{}>", group_name(name)))?,
            }
        }
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// `F-ID` is the group `fid`; any other has its own name.
fn group_name(name: &str) -> String {
    if name == "ID" { "fid".to_owned() } else { name.to_lowercase().replace('-', "_") }
}
