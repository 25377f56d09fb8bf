//! Text that fits: made safe, measured in cells, cut where it hurts least.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use bartizan_model::sentence;

/// Text of the agent, one last time checked: what a terminal could obey or a reader could misread is escaped.
/// (Sentences are already safe; whoever plays the agent on the socket may not be.)
pub(crate) fn safe(text: &str) -> String {
    sentence(text)
}

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text cut at its end to at most `cells`.
pub(crate) fn fit(text: &str, cells: usize, ellipsis: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let room = cells.saturating_sub(width(ellipsis));
    let mut out = head(text, room);
    if cells > 0 {
        out.push_str(ellipsis);
    }
    out
}

/// The text cut in its middle to at most `cells`: both ends of a path tell something.
pub(crate) fn fit_middle(text: &str, cells: usize, ellipsis: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let room = cells.saturating_sub(width(ellipsis));
    if room < 4 {
        return fit(text, cells, ellipsis);
    }
    let back = room.div_ceil(2);
    format!("{}{ellipsis}{}", head(text, room - back), tail(text, back))
}

/// The text and as many spaces as are missing.
pub(crate) fn pad(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(text))))
}

/// As many spaces as are missing and the text.
pub(crate) fn pad_left(text: &str, cells: usize) -> String {
    format!("{}{text}", " ".repeat(cells.saturating_sub(width(text))))
}

/// Lines of at most `cells`, broken at spaces; longer words are broken where they must.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = vec![];
    let mut line = String::new();
    for word in text.split(' ') {
        let gap = usize::from(!line.is_empty());
        if width(&line) + gap + width(word) <= cells {
            if gap == 1 {
                line.push(' ');
            }
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut rest = word;
        while width(rest) > cells {
            let piece = head(rest, cells.max(2));
            if piece.is_empty() {
                break;
            }
            rest = rest.get(piece.len()..).unwrap_or_default();
            lines.push(piece);
        }
        line.push_str(rest);
    }
    lines.push(line);
    lines
}

/// The first `rows` of already broken lines; where more follow, the last one ends with the sign of that.
pub(crate) fn clip(mut lines: Vec<String>, rows: usize, cells: usize, ellipsis: &str) -> Vec<String> {
    if lines.len() > rows {
        let rest = lines.split_off(rows);
        if let (Some(last), Some(next)) = (lines.last_mut(), rest.first()) {
            let whole = format!("{last} {next}");
            *last = if width(&whole) > cells {
                fit(&whole, cells, ellipsis)
            } else {
                format!("{}{ellipsis}", head(&whole, cells.saturating_sub(width(ellipsis))))
            };
        }
    }
    lines
}

fn head(text: &str, cells: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= cells
        })
        .collect()
}

fn tail(text: &str, cells: usize) -> String {
    let mut used = 0;
    let kept: Vec<char> = text
        .chars()
        .rev()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= cells
        })
        .collect();
    kept.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_where_it_hurts_least() {
        assert_eq!(fit("bartizan", 5, "…"), "bart…");
        assert_eq!(fit_middle("/usr/lib/systemd/systemd-journald", 17, "…"), "/usr/lib…journald");
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(clip(wrap("one two three four", 7), 2, 7, "…"), ["one two", "three …"], "never without a sign");
        assert_eq!(clip(wrap("one two three", 7), 2, 7, "…"), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
        assert_eq!(safe("a\\n\u{1b}[31m\u{202e}"), "a\\n\\x1b[31m\\u{202e}");
    }

    proptest! {
        #[test]
        fn nothing_is_ever_wider_than_its_place(text in "\\PC{0,60}", cells in 0usize..40) {
            prop_assert!(width(&fit(&text, cells, "…")) <= cells);
            prop_assert!(width(&fit_middle(&text, cells, "…")) <= cells);
            if cells > 1 {
                prop_assert!(wrap(&text, cells).iter().all(|line| width(line) <= cells));
            }
        }

        #[test]
        fn safe_text_has_no_control_character(text in any::<String>()) {
            prop_assert!(!safe(&text).chars().any(char::is_control));
        }
    }
}
