//! Tags: `<name>` in a filter stands for another setting of it, inner ones first (`<mdre-<mode>>`).

use super::interpolate::{MAX_VALUE, Why};

/// Tags that one value may have, those in what they stand for counted.
const MAX_TAGS: usize = 2000;

/// Fills in the tags that `lookup` knows; the others stay as they are.
pub(crate) fn fill(text: &str, lookup: &dyn Fn(&str) -> Result<Option<String>, Why>) -> Result<String, Why> {
    let mut text = text.to_owned();
    let (mut from, mut filled) = (0, 0);
    while let Some((start, end)) = innermost(&text, from) {
        let name = text.get(start + 1..end).unwrap_or_default();
        // `(?P<name>` and `(?<name>` are the regular expression's own.
        let group = text.get(..start).is_some_and(|before| before.ends_with("(?P") || before.ends_with("(?"));
        let value = if group || is_field(name) { None } else { lookup(name)? };
        let Some(value) = value else {
            from = end + 1;
            continue;
        };
        filled += 1;
        if filled > MAX_TAGS {
            return Err(Why::TooDeep);
        }
        text.replace_range(start..=end, &value);
        if text.len() > MAX_VALUE {
            return Err(Why::TooLong);
        }
        // What was filled in may complete a tag that began before it.
        from = text.get(..start).and_then(|before| before.rfind(['<', '>'])).unwrap_or(start);
    }
    Ok(text)
}

/// Start and end of the first tag from here on: what stands between `<` and `>` without a blank or another bracket.
fn innermost(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = None;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match (byte, start) {
            (b'<', _) => start = Some(at),
            (b'>', Some(begun)) if at > begun + 1 => return Some((begun, at)),
            (b'>' | b' ', _) => start = None,
            _ => {}
        }
    }
    None
}

/// What a tag of the expression itself is: the address, a field of the failure.
fn is_field(name: &str) -> bool {
    let bare = name.trim_matches('/');
    bare.starts_with("F-") || matches!(bare, "HOST" | "ADDR" | "IP4" | "IP6" | "DNS" | "CIDR" | "SUBNET" | "SKIPLINES")
}

#[cfg(test)]
mod tests {
    use super::{Why, fill};

    fn filled(text: &str) -> Result<String, Why> {
        fill(text, &|name| {
            Ok(match name {
                "mode" => Some("hard".to_owned()),
                "re-hard" => Some("x<mode>".to_owned()),
                "self" => Some("a<self>".to_owned()),
                _ => None,
            })
        })
    }

    #[test]
    fn inner_tags_make_the_names_of_outer_ones() {
        assert_eq!(
            filled("^<re-<mode>> <HOST> <F-USER>.*</F-USER> (?P<mode>a) <other> <").unwrap(),
            "^xhard <HOST> <F-USER>.*</F-USER> (?P<mode>a) <other> <"
        );
        assert_eq!(filled("<self>"), Err(Why::TooDeep));
    }
}
