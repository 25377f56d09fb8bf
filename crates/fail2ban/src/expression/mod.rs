//! One expression of a filter: fail2ban's fields and Python's syntax made into one that runs within bounds.

mod fields;
mod python;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fancy_regex::{Regex, RegexBuilder};

pub(crate) use fields::{identifies, skipped_group};

/// Bytes of an expression. fail2ban's longest has 3 KiB.
const MAX_EXPRESSION: usize = 64 << 10;
const TOO_LONG: &str = "it is longer than 64 KiB";
/// Steps back that one search may take. Searches of fail2ban's own filters over its own sample lines take a few hundred.
const MAX_STEPS: usize = 200_000;
/// Memory of what the linear parts are compiled to.
const MAX_COMPILED: usize = 4 << 20;
/// A search that takes longer than this is slow; so is one that takes too many steps.
const SLOW: Duration = Duration::from_millis(100);
/// An expression that was slow so often is run no more.
const MAX_SLOW: u32 = 3;
/// After so many quick searches in a row slow ones are forgotten: the host was busy.
const FORGIVEN: u32 = 10_000;

/// A search took too many steps, or its expression is switched off.
struct TookTooLong;

/// A compiled expression, and how it fares.
#[derive(Debug)]
pub(crate) struct Expression {
    regex: Regex,
    names: Vec<String>,
    slow: u32,
    quick: u32,
}

/// What a search found: the fields by name, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Fields that took part.
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Expression {
    /// Compiles an expression of a filter.
    ///
    /// # Errors
    /// What is not understood, in a sentence.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_EXPRESSION {
            return Err(TOO_LONG.to_owned());
        }
        Self::compile(&fields::expand(text), false)
    }

    /// Compiles an expression for a date: letters of either case.
    pub(crate) fn of_date(text: &str) -> Result<Self, String> {
        Self::compile(text, true)
    }

    fn compile(text: &str, any_case: bool) -> Result<Self, String> {
        if text.len() > MAX_EXPRESSION {
            return Err(TOO_LONG.to_owned());
        }
        let translated = python::translate(text)?;
        let regex = RegexBuilder::new(&translated.text)
            .multi_line(true)
            .case_insensitive(any_case || translated.any_case)
            .dot_matches_new_line(translated.dot_all)
            .ignore_whitespace(translated.verbose)
            .backtrack_limit(MAX_STEPS)
            .delegate_size_limit(MAX_COMPILED)
            .delegate_dfa_size_limit(MAX_COMPILED)
            .build()
            .map_err(|error| reason(&error.to_string()))?;
        let names = regex.capture_names().flatten().map(str::to_owned).collect();
        Ok(Self { regex, names, slow: 0, quick: 0 })
    }

    /// The names of its fields.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it was slow so often that it is run no more.
    pub(crate) fn is_off(&self) -> bool {
        self.slow >= MAX_SLOW
    }

    /// What it finds in a text. One that takes too long finds nothing.
    pub(crate) fn search(&mut self, text: &str) -> Option<Found> {
        self.find_group(text, 0).ok()?
    }

    /// Whether it finds anything; yes also when that could not be learned in time.
    pub(crate) fn may_match(&mut self, text: &str) -> bool {
        self.find_group(text, 0).map_or(true, |found| found.is_some())
    }

    /// Where its first group is, and all fields: how dates are found.
    pub(crate) fn search_group(&mut self, text: &str) -> Option<Found> {
        self.find_group(text, 1).ok()?
    }

    fn find_group(&mut self, text: &str, group: usize) -> Result<Option<Found>, TookTooLong> {
        if self.is_off() {
            return Err(TookTooLong);
        }
        let begun = Instant::now();
        let captures = self.regex.captures(text);
        if captures.is_err() || begun.elapsed() > SLOW {
            (self.slow, self.quick) = (self.slow + 1, 0);
        } else if self.slow > 0 {
            self.quick += 1;
            self.slow = if self.quick < FORGIVEN { self.slow } else { 0 };
        }
        let Some(captures) = captures.map_err(|_| TookTooLong)? else { return Ok(None) };
        let field = |name: &String| captures.name(name).map(|field| (name.clone(), field.as_str().to_owned()));
        let fields = self.names.iter().filter_map(field).collect();
        Ok(captures.get(group).map(|whole| Found { fields, start: whole.start(), end: whole.end() }))
    }
}

/// The reason without the place: that is one of the translated expression, which nobody wrote.
fn reason(error: &str) -> String {
    let bare = error.strip_prefix("Parsing error at position ").and_then(|rest| rest.split_once(": "));
    bare.map_or(error, |(_, reason)| reason).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::Expression;

    #[test]
    fn an_expression_that_steps_back_for_ever_is_switched_off() {
        let mut evil = Expression::new(r"^(?:(?:a+)+(?!x))+$ <HOST>").unwrap();
        let line = format!("{}!", "a".repeat(4000));
        let begun = std::time::Instant::now();
        for _ in 0..10 {
            assert_eq!(evil.search(&line), None);
        }
        assert!(evil.is_off(), "it would have gone on");
        assert!(begun.elapsed().as_secs() < 20);
    }

    #[test]
    fn python_syntax_means_what_it_means_to_python() {
        let cases = [
            (r"^(?P<q>['`])x(?P=q) from <HOST>\Z", "`x` from 192.0.2.1", true),
            (r"^(?P<inv>invalid )?user (?(inv)x|y) <HOST>", "invalid user x 192.0.2.1", true),
            (r"^(?P<inv>invalid )?user (?(inv)x|y) <HOST>", "invalid user y 192.0.2.1", false),
            (r"^[[\]&&~~+--] <HOST>", "& 192.0.2.1", true),
            (r"^[]^x]{1,}{ <HOST>", "^]{ 192.0.2.1", true),
            (r"^a{,2}b \<<HOST>\>", "aab <192.0.2.1>", true),
            (r"^ABC(?i) <HOST>", "abc 192.0.2.1", true),
            (r"(?iu)^ABC <HOST>", "abc 192.0.2.1", true),
            (r"^x(?#a note) \#<HOST>", "x #192.0.2.1", true),
            (r"^(?s)a.b <HOST>", "a\nb 192.0.2.1", true),
            (r#"^\d+\ \"<HOST>\"\/\@\!\_"#, r#"1 "192.0.2.1"/@!_"#, true),
        ];
        for (expression, line, matches) in cases {
            let found = Expression::new(expression).unwrap_or_else(|why| panic!("{expression}: {why}")).search(line);
            assert_eq!(found.is_some(), matches, "{expression} on {line}");
            assert!(found.is_none_or(|found| found.fields["ip4"] == "192.0.2.1"), "{expression}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (expression, says) in [(r"^(<HOST>", "paren"), (r"\y<HOST>", "\\y"), (r"(?P<a>x)(?P<a>y)", "twice"), (r"(?R)", "(?R")] {
            let why = Expression::new(expression).unwrap_err();
            assert!(why.contains(says), "{expression}: {why}");
        }
    }
}
