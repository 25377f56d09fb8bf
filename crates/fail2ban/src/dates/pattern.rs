//! A pattern of a date made into an expression: directives of strptime(3), fail2ban's own ones, and what may stand around them.

/// What a pattern says about its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// At the beginning of a word, anywhere.
    Word,
    /// At the beginning of the line, behind at most two characters that are part of no word: `{^LN-BEG}`.
    Line,
    /// As the pattern itself says: `^...`, `{UNB}`.
    Own,
}

/// How what was found becomes a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By its fields: year, month ...
    Fields,
    /// Seconds since 1970, or milli- or microseconds.
    Epoch,
    /// A label of TAI64N.
    Tai,
}

/// Forms in which programs write dates, the more exact ones first.
pub(super) const USUAL: &[(Anchor, &str)] = &[
    // 2005-01-23T21:59:59.981746+0100, 2005/01/23 8:59:59
    (Anchor::Word, r"(?:%ExY-%m-%d|%ExY/%m/%d|%ExY\.%m\.%d)(?:T| {0,2})%H:%M:%S(?:[.,]%f)?(?:\s*%z)?"),
    // Sun Jan 23 21:59:59.011 2005, Jan 23 21:59:59
    (Anchor::Word, r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?"),
    // Sun Jan 23 2005 21:59:59.011
    (Anchor::Word, r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?"),
    // 23/01/2005 21:59:59, 23-01-05 21:59:59
    (Anchor::Word, r"(?:%d/%m/|%d-%m-)(?:%ExY|%Exy) %k:%M:%S"),
    // 31/Oct/2006:09:22:55 -0000, 26-Jul-2007 15:20:52.252
    (Anchor::Word, r"(?:%d/%b/|%d-%b-)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?"),
    // 05/20/2008:01:57:39
    (Anchor::Word, r"%m/%d/%ExY:%H:%M:%S"),
    // 01-27-2012 16:22:44.252
    (Anchor::Word, r"%m-%d-%ExY %k:%M:%S(?:\.%f)?"),
    (Anchor::Word, "EPOCH"),
    // 21:59:59
    (Anchor::Line, r"%H:%M:%S"),
    // <09/16/08@05:03:30>
    (Anchor::Own, r"^<%m/%d/%Exy@%H:%M:%S>"),
    // 130322 11:46:11
    (Anchor::Word, r"%Exy%Exm%Exd {1,2}%H:%M:%S"),
    // Apr 15, 2013 8:34:08 PM
    (Anchor::Word, r"%b %d, %ExY %I:%M:%S %p"),
    // Apr-27-13 02:33:06
    (Anchor::Own, r"^%b-%d-%Exy %k:%M:%S"),
    // 20050123T215959, 20050123 215959
    (Anchor::Word, r"%ExY%Exm%Exd(?:T| {0,2})%ExH%ExM%ExS(?:[.,]%f)?(?:\s*%z)?"),
    // UTC Apr 16 21:05:29
    (Anchor::Word, r"(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?"),
    // +00:00 Jan 23 21:59:59.011 2005
    (Anchor::Word, r"(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?"),
    (Anchor::Word, "TAI64N"),
];

impl Anchor {
    /// What a pattern says about its beginning, and the rest of it.
    pub(super) fn of(pattern: &str) -> (Self, &str) {
        for (mark, anchor) in [("{^LN-BEG}", Self::Line), ("{UNB}", Self::Own), ("{*WD-BEG}", Self::Word)] {
            if let Some(rest) = pattern.strip_prefix(mark) {
                return (anchor, rest);
            }
        }
        (if pattern.starts_with(['^', '\\']) || pattern.starts_with("(?:^") { Self::Own } else { Self::Word }, pattern)
    }

    /// The body with what may stand around it; the date is its first group: the body itself, unless (`own_groups`) it has one.
    /// `**` at an end says that there the date need not end with a word.
    pub(super) fn around(self, body: &str, own_groups: bool) -> String {
        let (open_begin, open_end) = (body.starts_with("**"), body.ends_with("**"));
        let body = body.trim_start_matches("**");
        let body = body.strip_suffix("**").unwrap_or(body);
        let body = if own_groups && has_group(body) { format!("(?:{body})") } else { format!("({body})") };
        let before = match self {
            Self::Word if open_begin => "",
            Self::Word => r"(?:^|\b|\W)",
            Self::Line => r"^(?:\W{0,2})?",
            Self::Own => "",
        };
        let after = if open_end { "" } else { r"(?=\b|\W|$)" };
        format!("{before}{body}{after}")
    }
}

/// Whether an expression has a group without a name.
fn has_group(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'(' && !escaped && bytes.get(at + 1) != Some(&b'?') {
            return true;
        }
        escaped = *byte == b'\\' && !escaped;
    }
    false
}

impl Kind {
    /// The expression of a pattern without its anchor.
    pub(super) fn of(pattern: &str) -> Result<(Self, String), String> {
        let upper = pattern.to_uppercase();
        if upper == "TAI64N" {
            return Ok((Self::Tai, "@[0-9a-f]{24}".to_owned()));
        }
        if upper == "EPOCH" || upper == "^EPOCH" {
            // At the beginning of a line, alone in brackets there, or as the kernel's audit writes it.
            let number = r"\d{10,11}\b(?:\.\d{3,6})?";
            return Ok((Self::Epoch, format!(r"^{number}|(?<=^\[){number}(?=\])|(?<=\baudit\(){number}(?=:\d+\))")));
        }
        for (name, body) in [
            ("{LEPOCH}", r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?"),
            ("{EPOCH}", r"\d{10,11}\b(?:\.\d{3,6})?"),
            ("LEPOCH", r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?"),
            ("EPOCH", r"\d{10,11}\b(?:\.\d{3,6})?"),
        ] {
            if let Some(at) = upper.find(name) {
                let (before, after) = (pattern.get(..at).unwrap_or_default(), pattern.get(at + name.len()..).unwrap_or_default());
                return Ok((Self::Epoch, format!("{before}(?P<epoch>{body}){after}")));
            }
        }
        expand(pattern).map(|body| (Self::Fields, body))
    }
}

/// Puts expressions in the place of directives. A field that comes in several branches is told apart by a number behind its name.
fn expand(pattern: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut count = 0_u32;
    while let Some(at) = rest.find('%') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        let length = if rest.starts_with("Ex") { 3 } else { rest.chars().next().map_or(0, char::len_utf8) };
        let name = rest.get(..length).unwrap_or_default();
        rest = rest.get(length..).unwrap_or_default();
        if name == "%" {
            out.push('%');
            continue;
        }
        let (field, body) = directive(name).ok_or_else(|| format!("`%{name}` is no directive that is known"))?;
        count += 1;
        out.push_str(&format!("(?P<{field}{count}>{body})"));
    }
    out.push_str(rest);
    Ok(out)
}

/// The field that a directive fills and what it looks like: those of Python's strptime, and fail2ban's `%Ex...`, `%k`, `%l`.
fn directive(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "d" => ("day", r"3[01]|[12]\d|0[1-9]| [1-9]|[1-9]"),
        "Exd" => ("day", r"3[01]|[12]\d|0[1-9]"),
        "m" => ("month", r"1[0-2]|0[1-9]|[1-9]"),
        "Exm" => ("month", r"1[0-2]|0[1-9]"),
        "Y" => ("year", r"\d{4}"),
        "ExY" => ("year", r"(?:19|20)\d{2}"),
        "y" | "Exy" => ("short", r"\d{2}"),
        "b" | "B" | "h" => (
            "name",
            "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?",
        ),
        "a" | "A" => ("weekday", "mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"),
        "H" => ("hour", r"2[0-3]|[01]\d|\d"),
        "k" => ("hour", r"2[0-3]|[01]\d|\d| \d"),
        "ExH" => ("hour", r"2[0-3]|[01]\d| \d"),
        "I" | "l" => ("half", r"1[0-2]|0[1-9]| [1-9]|[1-9]"),
        "M" => ("minute", r"[0-5]\d|\d"),
        "ExM" => ("minute", r"[0-5]\d"),
        "S" => ("second", r"6[01]|[0-5]\d|\d"),
        "ExS" => ("second", r"6[01]|[0-5]\d"),
        "f" => ("fraction", r"\d{1,6}"),
        "p" => ("noon", "[ap]m"),
        "z" => ("offset", r"Z|UTC|GMT|[+-][01]\d(?::?\d{2})?"),
        "Z" => ("zone", "[A-Z]{3,5}|Z"),
        "j" => ("ordinal", r"36[0-6]|3[0-5]\d|[12]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]"),
        _ => return None,
    })
}
