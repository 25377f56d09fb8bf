//! The page of what our table must be, line by line, judged by other code than writes the table.
//!
//! Before the bar stand the pieces that need the line; a table holds exactly the lines of its pieces.

use super::piece::{Piece, Pieces};

/// Every set, chain and rule that our table may have, in its order. The writer makes it, this page judges it.
pub const SKELETON: &str = include_str!("skeleton.txt");

/// The lines of a table with these pieces.
pub fn lines(pieces: Pieces) -> Vec<&'static str> {
    let wanted = |tags: &str| tags == "always" || pieces.iter().any(|piece| tags.split(' ').any(|tag| tag == piece.name()));
    SKELETON.lines().filter_map(|line| line.split_once(" | ")).filter(|(tags, _)| wanted(tags)).map(|(_, line)| line).collect()
}

/// Which pieces a table with these lines has, if it is ours in every line; else the first difference, safe to show. Sets and
/// chains may stand in any order, since they are made when they are needed; the rules of a chain may not.
///
/// # Errors
/// The first difference.
pub fn pieces_of<L: AsRef<str>>(found: &[L]) -> Result<Pieces, String> {
    let begins =
        |line: &str, set: &str| line.strip_prefix("set ").and_then(|rest| rest.strip_prefix(set)).is_some_and(|rest| rest.starts_with(' '));
    let has = |piece: &Piece| found.iter().any(|line| begins(line.as_ref(), piece.mark().name()));
    let pieces: Pieces = Piece::ALL.into_iter().filter(has).collect();
    let found: Vec<&str> = in_order(found.iter().map(AsRef::as_ref).collect());
    let wanted = in_order(lines(pieces));
    let cut = |line: &str| line.escape_debug().take(200).collect::<String>();
    if found == wanted {
        return Ok(pieces);
    }
    if let Some(missing) = wanted.iter().find(|line| !found.contains(line)) {
        return Err(format!("missing: {}", cut(missing)));
    }
    if let Some(extra) = found.iter().find(|line| !wanted.contains(line)) {
        return Err(format!("not ours: {}", cut(extra)));
    }
    if found.len() != wanted.len() {
        return Err(format!("{} sets, chains and rules instead of {}", found.len(), wanted.len()));
    }
    let other = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
    Err(other.map_or_else(String::new, |(found, _)| format!("not in its place: {}", cut(found))))
}

/// What a table that is not as we make it does to packets by its policies: "" when they drop nothing.
pub(super) fn effect(found: &[String]) -> String {
    const HOOKS: [(&str, &str); 5] = [
        ("hook 0 ", "every packet that arrives"),
        ("hook 1 ", "what comes in"),
        ("hook 2 ", "what is forwarded"),
        ("hook 3 ", "what goes out"),
        ("hook 4 ", "every packet that leaves"),
    ];
    let dropping: Vec<&str> =
        found.iter().filter(|line| line.starts_with("chain ") && line.contains(" policy 0 ")).map(String::as_str).collect();
    let what: Vec<&str> = HOOKS.iter().filter(|(hook, _)| dropping.iter().any(|line| line.contains(hook))).map(|(_, what)| *what).collect();
    if what.is_empty() { String::new() } else { format!("; it drops {} unless a rule of it accepts it", what.join(" and ")) }
}

/// Chains and sets by their lines, rules by their chain only: a stable sort leaves each chain's rules as they stand.
fn in_order(mut lines: Vec<&str>) -> Vec<&str> {
    fn key(line: &str) -> &str {
        match line.strip_prefix("rule ") {
            Some(rest) => rest.split(' ').next().map_or(line, |chain| line.get(..chain.len() + "rule ".len()).unwrap_or(line)),
            None => line,
        }
    }
    lines.sort_by_key(|line| key(line));
    lines
}
