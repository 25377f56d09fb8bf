//! A filter at work: a line in, a failure out, in bounded time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bartizan_model::Timestamp;
use thiserror::Error;

use super::dates::Dates;
use super::expression::{Expression, Found, identifies, skipped_group};
use super::merge::{Connections, Failure};
use super::problem::Problem;
use super::spec::FilterSpec;

/// The longest line that expressions are tried on, in bytes: what an expression costs may grow with the square of it.
pub const MAX_LINE: usize = 8 << 10;
/// The longest that the expressions of a filter are tried on one line: what is left of them then finds nothing in it.
const LONG: Duration = Duration::from_millis(500);

/// Why a line was not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Trouble {
    /// Longer than [`MAX_LINE`].
    #[error("longer than 8 KiB")]
    TooLong,
}

/// One line of a source.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The line, without its end.
    pub text: &'a str,
    /// When, where the transport says so (the journal); else the line is searched for a date.
    pub at: Option<Timestamp>,
    /// The time of day.
    pub now: Timestamp,
    /// Seconds that local time is ahead of UTC.
    pub zone: i32,
}

/// A compiled filter, and what it remembers of earlier lines.
#[derive(Debug)]
pub struct Filter {
    prefix: Option<(String, Expression)>,
    failures: Vec<(String, Expression)>,
    ignored: Vec<(String, Expression)>,
    dates: Dates,
    zone: Option<i32>,
    maxlines: usize,
    waiting: VecDeque<String>,
    last: Option<Timestamp>,
    connections: Connections,
}

impl Filter {
    /// Compiles a filter. What is not understood is a problem and left out; `None` when nothing is left that could find a failure.
    pub fn new(spec: &FilterSpec) -> (Option<Self>, Vec<Problem>) {
        let file = format!("filter.d/{}.conf", spec.name);
        let mut problems = Vec::new();
        let mut problem = |section: &str, what: &str, why: String| problems.push(Problem::new(&file, section, what, why));
        let prefix = match spec.prefregex.as_deref().map(|text| (text, Expression::new(text))) {
            Some((text, Err(why))) => {
                problem("prefregex", text, why);
                return (None, problems);
            }
            Some((text, Ok(prefix))) => Some((text.to_owned(), prefix)),
            None => None,
        };
        let named = prefix.as_ref().is_some_and(|(_, prefix)| prefix.names().iter().any(|name| identifies(name)));
        let mut failures = Vec::new();
        for text in &spec.failregex {
            match Expression::new(text) {
                Ok(one) if named || one.names().iter().any(|name| identifies(name)) => failures.push((text.clone(), one)),
                Ok(_) => problem("failregex", text, "it names nobody: `<HOST>`, `<ADDR>` or `<F-ID>` is missing".to_owned()),
                Err(why) => problem("failregex", text, why),
            }
        }
        let mut ignored = Vec::new();
        for text in &spec.ignoreregex {
            match Expression::new(text) {
                Ok(one) => ignored.push((text.clone(), one)),
                // Whoever is to be ignored would be counted: without this one the filter is not the one that was written.
                Err(why) => {
                    problem("ignoreregex", text, why);
                    return (None, problems);
                }
            }
        }
        let mut dated = Vec::new();
        let dates = Dates::new(spec.datepattern.as_deref(), &mut |one| dated.push(Problem { file: file.clone(), ..one }));
        problems.extend(dated);
        if failures.is_empty() {
            if spec.failregex.is_empty() {
                problems.push(Problem::new(&file, "failregex", "", "it has no expression"));
            }
            return (None, problems);
        }
        let filter = Self {
            prefix,
            failures,
            ignored,
            dates,
            zone: spec.zone,
            maxlines: spec.maxlines,
            waiting: VecDeque::new(),
            last: None,
            connections: Connections::default(),
        };
        (Some(filter), problems)
    }

    /// The expressions that can find a failure, as they stand there.
    pub(crate) fn failregex(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(|(text, _)| text.as_str())
    }

    /// How many expressions can find a failure.
    pub fn expressions(&self) -> usize {
        self.failures.len()
    }

    /// Expressions that took too long three times and are run no more. Without its `prefregex` or one of its `ignoreregex` a filter
    /// finds nothing.
    pub fn switched_off(&self) -> impl Iterator<Item = &str> {
        self.prefix.iter().chain(&self.failures).chain(&self.ignored).filter(|(_, one)| one.is_off()).map(|(text, _)| text.as_str())
    }

    /// Judges a line.
    ///
    /// # Errors
    /// When it is too long to be judged in time.
    pub fn line(&mut self, line: Line<'_>) -> Result<Option<Failure>, Trouble> {
        if line.text.len() > MAX_LINE {
            return Err(Trouble::TooLong);
        }
        let bare = line.text.trim_end_matches(['\r', '\n']);
        let text = match line.at {
            Some(at) => {
                self.last = Some(at);
                bare.to_owned()
            }
            None => self.without_date(bare, &line),
        };
        if self.ignored.iter_mut().any(|(_, one)| one.may_match(&text)) {
            return Ok(None);
        }
        let found = if self.maxlines > 1 { self.search_lines(text) } else { self.search_line(&text) };
        Ok(found.and_then(|found| self.connections.settle(found, self.last)))
    }

    /// The line without its date, which is remembered: a line without one has that of the line before.
    fn without_date(&mut self, text: &str, line: &Line<'_>) -> String {
        let Some(dated) = self.dates.find(text, line.now, self.zone.unwrap_or(line.zone)) else { return text.to_owned() };
        self.last = dated.at.or(self.last);
        let (before, after) = (text.get(..dated.start).unwrap_or_default(), text.get(dated.end..).unwrap_or_default());
        format!("{before}{after}")
    }

    fn search_line(&mut self, text: &str) -> Option<Found> {
        let (content, outer) = self.behind_prefix(text)?;
        Some(with(outer, self.first_failure(&content)?))
    }

    fn first_failure(&mut self, content: &str) -> Option<Found> {
        let begun = Instant::now();
        self.failures.iter_mut().take_while(|_| begun.elapsed() < LONG).find_map(|(_, one)| one.search(content))
    }

    /// The part of a text that expressions see, and the fields that the prefix has.
    fn behind_prefix(&mut self, text: &str) -> Option<(String, Found)> {
        let Some((_, prefix)) = &mut self.prefix else { return Some((text.to_owned(), Found::default())) };
        let mut outer = prefix.search(text)?;
        let content = outer.fields.remove("content");
        Some((content.unwrap_or_else(|| text.to_owned()), outer))
    }

    /// Searches the last lines together. Lines that a failure was made of are done with; those that it passed over stay.
    fn search_lines(&mut self, text: String) -> Option<Found> {
        self.waiting.push_back(text);
        while self.waiting.len() > self.maxlines || self.waiting.iter().map(String::len).sum::<usize>() > 4 * MAX_LINE {
            self.waiting.pop_front();
        }
        let mut whole = String::new();
        for line in &self.waiting {
            whole.push_str(line);
            whole.push('\n');
        }
        let (content, outer) = self.behind_prefix(&whole)?;
        let found = self.first_failure(&content)?;
        if content == whole {
            self.waiting = unmatched(&whole, &found);
        } else {
            self.waiting.clear();
        }
        Some(with(outer, found))
    }
}

fn with(mut outer: Found, found: Found) -> Found {
    outer.fields.extend(found.fields);
    outer
}

/// The lines before and behind what was found, and those that `<SKIPLINES>` passed over.
fn unmatched(whole: &str, found: &Found) -> VecDeque<String> {
    let line_of = |at: usize| whole.get(..at).map_or(0, |before| before.matches('\n').count());
    let (first, last) = (line_of(found.start), line_of(found.end.saturating_sub(1).max(found.start)));
    let skipped = found.fields.iter().filter(|(name, _)| skipped_group(name)).flat_map(|(_, text)| text.lines());
    let before = whole.lines().take(first);
    let behind = whole.lines().skip(last + 1);
    before.chain(skipped).chain(behind).map(str::to_owned).collect()
}
