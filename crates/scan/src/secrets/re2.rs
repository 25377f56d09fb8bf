//! Patterns written for RE2 (Go), as rule files of others have them, made readable for our engine.

use regex::bytes::{Regex, RegexBuilder};

/// Bytes that one compiled pattern may take, and one table of its lazy automaton.
const MAX_COMPILED: usize = 8 << 20;
const MAX_CACHE: usize = 1 << 20;
/// Depth of groups in groups.
const MAX_NESTING: u32 = 100;

/// Compiles it: classes are ASCII as in RE2, and no pattern takes more memory than its bound.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&braces_escaped(pattern));
    builder.unicode(false).size_limit(MAX_COMPILED).dfa_size_limit(MAX_CACHE).nest_limit(MAX_NESTING);
    builder.build().map_err(|why| why.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

/// A brace that begins no repetition stands for itself in RE2, and must be escaped here.
fn braces_escaped(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.char_indices();
    let mut in_class = false;
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(characters.next().map(|(_, escaped)| escaped));
                // \x{7f} and \p{L} keep their braces.
                if let Some(rest) = pattern.get(at + 2..)
                    && rest.starts_with('{')
                    && matches!(pattern.as_bytes().get(at + 1), Some(b'x' | b'p' | b'P'))
                {
                    out.extend(characters.by_ref().map(|(_, c)| c).take_while(|c| *c != '}'));
                    out.push('}');
                }
                continue;
            }
            '[' if !in_class => in_class = true,
            ']' if in_class => in_class = false,
            '{' if !in_class && !is_repetition(pattern.get(at..).unwrap_or_default()) => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// `{3}`, `{3,}`, `{3,5}`.
fn is_repetition(text: &str) -> bool {
    let Some((inner, _)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else { return false };
    let mut parts = inner.splitn(2, ',');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next().is_some_and(is_number) && parts.next().is_none_or(|part| part.is_empty() || is_number(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_re2_are_understood() {
        assert_eq!(braces_escaped(r"^\$(?:\d+|{\d+})$"), r"^\$(?:\d+|\{\d+})$");
        assert_eq!(braces_escaped(r"a{3}b{3,}c{3,5}[{]\{\x{7f}"), r"a{3}b{3,}c{3,5}[{]\{\x{7f}");
        assert!(compile(r"^\${(?:[A-Z_]+)}$").unwrap().is_match(b"${HOME}"));
        assert!(!compile(r"^\w$").unwrap().is_match("é".as_bytes()), "classes are ASCII");
        assert!(compile(r"(?:[a-z]{1000}){1000}").unwrap_err().contains("size limit"));
        assert!(compile(&"(".repeat(5000)).is_err());
    }
}
