//! One file: sections, settings, values over several lines, comments; as Python's configparser takes it apart.

/// What a file says, in order.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Sections and their settings; a section that comes twice is there twice.
    pub(super) sections: Vec<(String, Vec<(String, String)>)>,
    /// Lines that are nothing, and their numbers, at most [`MAX_PROBLEMS`].
    pub(super) problems: Vec<(usize, String)>,
}

const MAX_PROBLEMS: usize = 20;

/// Takes a file apart.
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    // How far in the setting stands that a deeper line would go on with.
    let mut open: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let bare = strip_comment(line);
        let indent = line.len() - line.trim_start().len();
        let Some(bare) = bare else { continue };
        if bare.is_empty() {
            // An empty line belongs to the value that it stands in.
            if open.is_some()
                && let Some(value) = last_value(&mut parsed)
            {
                value.push('\n');
            }
            continue;
        }
        if open.is_some_and(|begun| indent > begun)
            && let Some(value) = last_value(&mut parsed)
        {
            value.push('\n');
            value.push_str(bare);
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
            parsed.sections.push((name.to_owned(), Vec::new()));
            open = None;
        } else if let (Some(at), Some((_, settings))) = (bare.find(['=', ':']), parsed.sections.last_mut()) {
            let (name, value) = bare.split_at(at);
            settings.push((name.trim().to_lowercase(), value.get(1..).unwrap_or_default().trim().to_owned()));
            open = Some(indent);
        } else if parsed.problems.len() < MAX_PROBLEMS {
            parsed.problems.push((number + 1, bare.to_owned()));
        }
    }
    for value in parsed.sections.iter_mut().flat_map(|(_, settings)| settings).map(|(_, value)| value) {
        value.truncate(value.trim_end().len());
    }
    parsed
}

/// The line without blanks around it and without a comment; `None` when all of it is a comment.
fn strip_comment(line: &str) -> Option<&str> {
    let bare = line.trim();
    if bare.starts_with(['#', ';']) {
        return None;
    }
    // `; ` within a line begins a comment too, behind a blank.
    let inline = bare.match_indices(';').find(|(at, _)| bare.get(..*at).is_some_and(|before| before.ends_with([' ', '\t'])));
    Some(inline.map_or(bare, |(at, _)| bare.get(..at).unwrap_or_default().trim_end()))
}

fn last_value(parsed: &mut Parsed) -> Option<&mut String> {
    parsed.sections.last_mut()?.1.last_mut().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn values_go_on_over_deeper_lines_comments_and_empty_lines() {
        let text = "# head\n[Definition]\nfailregex = ^one$\n   # not this\n            ^two ; note\n\n  ^three: x=1$\nName: value\n\n[Init]\nempty =\n";
        let parsed = parse(text);
        assert_eq!(parsed.sections[0].0, "Definition");
        assert_eq!(parsed.sections[0].1[0], ("failregex".to_owned(), "^one$\n^two\n\n^three: x=1$".to_owned()));
        assert_eq!(parsed.sections[0].1[1], ("name".to_owned(), "value".to_owned()));
        assert_eq!(parsed.sections[1].1[0], ("empty".to_owned(), String::new()));
        assert!(parsed.problems.is_empty());
    }

    #[test]
    fn what_is_no_setting_is_named_by_its_line() {
        assert_eq!(parse("[a]\nx = 1\nnonsense\n").problems, [(3, "nonsense".to_owned())]);
        assert_eq!(parse("x = 1\n").problems.len(), 1);
    }
}
