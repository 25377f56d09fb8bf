//! The command palette: commands by a few letters of their names.

use bartizan_config::View;
use bartizan_config::keymap::{COMMANDS, CommandInfo};

/// Commands that work in `view` and whose name holds the letters of `typed` in order; the closest first.
pub(crate) fn found(typed: &str, view: View) -> Vec<&'static CommandInfo> {
    let typed = typed.trim().to_lowercase();
    let mut rows: Vec<_> = COMMANDS
        .iter()
        .filter(|info| info.works_in(view))
        .filter_map(|info| {
            let by_name = distance(info.id, &typed);
            let by_about = distance(info.about, &typed).map(|far| far + 100);
            by_name.or(by_about).map(|far| (far, info))
        })
        .collect();
    rows.sort_by_key(|(far, _)| *far);
    rows.into_iter().map(|(_, info)| info).collect()
}

/// How far apart the letters stand in `text`; `None` when one is missing.
fn distance(text: &str, letters: &str) -> Option<usize> {
    let mut far = 0;
    let mut rest = text;
    for letter in letters.chars() {
        let at = rest.find(letter)?;
        far += at;
        rest = rest.get(at + letter.len_utf8()..)?;
    }
    Some(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_letters_find_a_command() {
        assert_eq!(found("emst", View::Overview).first().map(|info| info.id), Some("emergency-stop"));
        assert_eq!(found("undo", View::Actions).first().map(|info| info.id), Some("undo"));
        assert!(found("undo", View::Health).iter().all(|info| info.id != "undo"), "it does not work there");
        assert!(found("xyzzy", View::Overview).is_empty());
        assert!(found("", View::Overview).len() > 20);
    }
}
