//! Where in a text a pattern must be tried, given where a keyword stands: most rules say it by how their pattern begins.

/// Bytes before and after a keyword in which a match is looked for, when the pattern does not begin with it.
const BEFORE: usize = 256;
const AFTER: usize = 1024;
/// Bytes after it for a pattern without an end of its own: a private key.
const LONG: usize = 16 << 10;
/// What rule files put before a name, so that a match shows all of it; it changes nothing about whether there is a match.
const LEADS: [&str; 2] = [r"(?i)[\w.-]{0,50}?", r"[\w.-]{0,50}?"];

/// How a pattern is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The pattern to compile; with `from` 0 it begins with `^`.
    pub(super) pattern: String,
    /// Where.
    pub(super) at: At,
}

/// Where a pattern is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Exactly at the keyword, up to so many bytes behind it; `word`: no letter, digit or underscore may stand before it.
    Keyword { word: bool, after: usize },
    /// In these surroundings of the keyword.
    Around { before: usize, after: usize },
    /// Anywhere in a text that has the keyword.
    Anywhere,
}

/// What this pattern allows.
pub(super) fn of(pattern: &str, keywords: &[String]) -> Place {
    let after = reach(pattern);
    let (lead, rest) = LEADS.iter().find_map(|lead| pattern.strip_prefix(lead).map(|rest| (*lead, rest))).unwrap_or(("", pattern));
    let (flag, rest) = match rest.strip_prefix("(?i)") {
        Some(rest) => ("(?i)", rest),
        None if lead.starts_with("(?i)") => ("(?i)", rest),
        None => ("", rest),
    };
    let word = rest.starts_with(r"\b");
    let head = rest.trim_start_matches(r"\b");
    if !keywords.is_empty() && keywords.iter().all(|keyword| begins_with(head, keyword)) {
        return Place { pattern: format!("^{flag}(?:{head})"), at: At::Keyword { word, after } };
    }
    let lower = plain(pattern);
    let is_inside = |keyword: &String| lower.contains(keyword.as_str());
    let at = if !keywords.is_empty() && keywords.iter().all(is_inside) {
        At::Around { before: BEFORE.max(after.min(LONG) / 4), after }
    } else {
        At::Anywhere
    };
    Place { pattern: pattern.to_owned(), at }
}

/// The pattern in lower case, without the backslashes before signs.
fn plain(pattern: &str) -> String {
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        match (c, characters.clone().next()) {
            ('\\', Some(next)) if next.is_ascii_punctuation() => out.extend(characters.next()),
            _ => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// Whether every match of the pattern begins with this keyword or with another alternative of the same group: `(?:adobe)`, `(p8e-`,
/// `ghp_`. An alternation outside of a group could begin otherwise.
fn begins_with(head: &str, keyword: &str) -> bool {
    let lower = plain(head);
    let bare = lower.trim_start_matches("(?-i:").trim_start_matches("(?i:").trim_start_matches("(?:").trim_start_matches('(');
    // The literal goes on, or a group or a class follows; a repetition of its last character would make it optional.
    let goes_on = |rest: &str| !rest.starts_with(['?', '*', '{', '|']);
    // A group that may be left out takes the keyword with it.
    let optional = bare.len() < lower.len() && [")?", ")*", "){0"].iter().any(|end| lower.contains(end));
    if bare.strip_prefix(keyword).is_some_and(goes_on) {
        return !optional && !has_bare_alternation(head);
    }
    // `(?:access|auth|key)`: a group of plain alternatives.
    let Some((group, rest)) = lower.strip_prefix("(?:").and_then(|rest| rest.split_once(')')) else { return false };
    let is_plain = |one: &str| !one.is_empty() && one.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte));
    !has_bare_alternation(head)
        && !rest.starts_with(['?', '*', '{'])
        && group.split('|').all(is_plain)
        && group.split('|').any(|one| one == keyword)
}

/// Whether a `|` stands outside of every group and class.
fn has_bare_alternation(pattern: &str) -> bool {
    let (mut depth, mut in_class, mut escaped) = (0usize, false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => depth = depth.saturating_sub(1),
            '|' if !in_class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// How far a match can reach: the sum of its repetitions and some more; one without an end of its own is looked for in a long piece.
fn reach(pattern: &str) -> usize {
    let mut sum = 0usize;
    let mut is_open = false;
    for piece in pattern.split('{').skip(1) {
        let Some((inner, _)) = piece.split_once('}') else { continue };
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        match (least.parse::<usize>(), most.parse::<usize>()) {
            (_, Ok(most)) => sum = sum.saturating_add(most),
            (Ok(least), Err(_)) => {
                is_open = true;
                sum = sum.saturating_add(least);
            }
            _ => {}
        }
    }
    is_open |= pattern.contains(")+") || pattern.contains("]+") || pattern.contains("]*") || pattern.contains(".*");
    (sum.saturating_mul(2) + if is_open { LONG } else { AFTER }).min(4 * LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pattern: &str, keywords: &[&str]) -> At {
        of(pattern, &keywords.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).at
    }

    #[test]
    fn a_pattern_is_tried_where_its_keyword_lets_it_match() {
        assert!(matches!(at(r"(?i)[\w.-]{0,50}?(?:adobe)[\s]{0,3}=([a-f0-9]{32})", &["adobe"]), At::Keyword { word: false, .. }));
        assert!(matches!(at(r"\b(p8e-(?i)[a-z0-9]{32})", &["p8e-"]), At::Keyword { word: true, .. }));
        assert!(matches!(at(r"ghp_[0-9a-zA-Z]{36}", &["ghp_"]), At::Keyword { .. }));
        assert!(matches!(at(r"(?i)(?:access|key)=([a-z]{9})", &["access", "key"]), At::Keyword { .. }));
        assert!(matches!(at(r"[a-z0-9]{14}\.atlasv1\.[a-z]{60}", &["atlasv1"]), At::Around { .. }));
        assert!(matches!(at(r"a3-x|b4-[a-z]{9}", &["a3-"]), At::Around { .. }), "the other alternative begins elsewhere");
        assert_eq!(at(r"pat[0-9]{14}", &["airtable"]), At::Anywhere);
        assert_eq!(at(r"pat[0-9]{14}", &[]), At::Anywhere);
        assert!(matches!(at(r"(?:key)?x{9}", &["key"]), At::Around { .. }));
    }
}
