//! Where a line says when: the patterns of a filter, or the usual ones, and which of them fits.

mod moment;
mod pattern;
mod shared;

use bartizan_model::Timestamp;

use super::problem::Problem;
use pattern::{Anchor, Kind, USUAL};
use shared::Shared;

/// Patterns of one filter.
const MAX_PATTERNS: usize = 64;

/// The time of a line, and where it stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dated {
    /// Bytes of the line that are the date.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// What it says; `None` when there is no such day.
    pub(crate) at: Option<Timestamp>,
}

/// One pattern; compiled when a line first asks for it.
#[derive(Debug)]
struct Template {
    kind: Kind,
    text: String,
    anchored: bool,
    compiled: Option<Shared>,
}

/// The patterns of one filter, and which of them fitted last.
#[derive(Debug)]
pub(crate) struct Dates {
    templates: Vec<Template>,
    last: usize,
}

impl Dates {
    /// Of a `datepattern`, or the usual ones where there is none. What is not understood is a problem.
    pub(crate) fn new(datepattern: Option<&str>, problem: &mut dyn FnMut(Problem)) -> Self {
        let mut dates = Self { templates: Vec::new(), last: 0 };
        let patterns = datepattern.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty());
        let mut any = false;
        for pattern in patterns {
            any = true;
            dates.add(pattern, problem);
        }
        if !any {
            dates.add_usual(Anchor::Word, None);
        }
        dates
    }

    fn add(&mut self, whole: &str, problem: &mut dyn FnMut(Problem)) {
        let (anchor, pattern) = Anchor::of(whole);
        let upper = pattern.to_uppercase();
        if upper == "{NONE}" {
            return;
        }
        if pattern.is_empty() {
            return self.add_usual(anchor, None);
        }
        if let Some(at) = upper.find("{DATE}") {
            let around = (pattern.get(..at).unwrap_or_default(), pattern.get(at + "{DATE}".len()..).unwrap_or_default());
            return self.add_usual(anchor, Some(around));
        }
        let made = Kind::of(pattern).and_then(|(kind, body)| {
            let text = anchor.around(&body, true);
            Shared::of(&text).map(|compiled| Template { kind, text, anchored: anchor != Anchor::Word, compiled: Some(compiled) })
        });
        match made {
            Ok(template) if self.templates.len() < MAX_PATTERNS => self.templates.push(template),
            Ok(_) => problem(Problem::new("", "datepattern", whole, format!("more than {MAX_PATTERNS} patterns"))),
            Err(why) => problem(Problem::new("", "datepattern", whole, why)),
        }
    }

    /// The usual patterns, each by itself or within what stands around it.
    fn add_usual(&mut self, anchor: Anchor, around: Option<(&str, &str)>) {
        for (own, usual) in USUAL {
            let Ok((kind, body)) = Kind::of(usual) else { continue };
            // One that begins a line by itself cannot stand within another.
            let anchor = if *own == Anchor::Word || around.is_some() { anchor } else { *own };
            let (text, anchored) = match around {
                Some((before, after)) => (anchor.around(&format!("{before}{body}{after}"), true), true),
                None => (anchor.around(&body, false), anchor != Anchor::Word),
            };
            self.templates.push(Template { kind, text, anchored, compiled: None });
        }
    }

    /// Finds the date of a line. It is `now`, and what names no zone is read `zone` seconds ahead of UTC.
    pub(crate) fn find(&mut self, line: &str, now: Timestamp, zone: i32) -> Option<Dated> {
        let order = std::iter::once(self.last).chain((0..self.templates.len()).filter(|at| *at != self.last));
        let mut best: Option<(Dated, usize)> = None;
        for at in order {
            let Some(template) = self.templates.get_mut(at) else { break };
            let Some(dated) = template.find(line, now, zone) else { continue };
            let nearer = best.is_none_or(|(known, _)| dated.start < known.start);
            if nearer {
                best = Some((dated, at));
            }
            // Nothing stands before it, or nothing may: no other fits better.
            if template.anchored || dated.start <= 1 {
                break;
            }
        }
        let (dated, at) = best?;
        self.last = at;
        Some(dated)
    }
}

impl Template {
    fn find(&mut self, line: &str, now: Timestamp, zone: i32) -> Option<Dated> {
        if self.compiled.is_none() {
            self.compiled = Some(Shared::of(&self.text).ok()?);
        }
        let found = self.compiled.as_ref()?.search_group(line)?;
        let text = line.get(found.start..found.end)?;
        let at = match self.kind {
            Kind::Fields => moment::of_fields(&found.fields, now, zone),
            Kind::Epoch => moment::of_epoch(found.fields.get("epoch").map_or(text, String::as_str)),
            Kind::Tai => moment::of_tai(text),
        };
        Some(Dated { start: found.start, end: found.end, at })
    }
}

#[cfg(test)]
mod tests {
    use super::Dates;

    fn found(pattern: Option<&str>, line: &str) -> Option<(String, String)> {
        let now = "2005-08-14T10:00:00Z".parse().unwrap();
        let mut dates = Dates::new(pattern, &mut |problem| panic!("{problem}"));
        let dated = dates.find(line, now, 2 * 3600)?;
        let rest = format!("{}|{}", &line[..dated.start], &line[dated.end..]);
        Some((dated.at.map_or("-".to_owned(), |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()), rest))
    }

    #[test]
    fn usual_stamps_are_found_and_cut_out() {
        let cases = [
            ("Jun 21 16:47:46 host x", "2005-06-21T14:47:46Z", "| host x"),
            ("Nov  4 18:30:40 host x", "2004-11-04T16:30:40Z", "| host x"),
            ("Aug 14 12:51:04 host x", "2005-08-14T10:51:04Z", "| host x"),
            ("[2012-02-13 17:21:54] x", "2012-02-13T15:21:54Z", "[|] x"),
            ("2013-06-11T02:09:40.123+0300 x", "2013-06-10T23:09:40Z", "| x"),
            ("[Wed Jul 17 23:20:45.5 2013] x", "2013-07-17T21:20:45Z", "[|] x"),
            ("1.2.3.4 - - [31/Oct/2006:09:22:55 -0100] x", "2006-10-31T10:22:55Z", "1.2.3.4 - - [|] x"),
            ("@4000000050cc7e2f2b1d2a0c x", "2012-12-15T13:41:57Z", "| x"),
            ("1370000000.123 x", "2013-05-31T11:33:20Z", "| x"),
            ("130322 11:46:11 x", "2013-03-22T09:46:11Z", "| x"),
            ("17-07-2008 17:23:25 x", "2008-07-17T15:23:25Z", "| x"),
        ];
        for (line, at, rest) in cases {
            assert_eq!(found(None, line), Some((at.to_owned(), rest.to_owned())), "{line}");
        }
        assert_eq!(found(None, "no date at all"), None);
        assert_eq!(found(None, "0000-12-30 00:00:00 x"), None);
    }

    #[test]
    fn patterns_of_a_filter_are_read_as_they_are_written() {
        let cases = [
            (r"^[^\[]*\[({DATE})", "x - [26-Jul-2007 15:20:52] y", "2007-07-26T13:20:52Z", "x - [|] y"),
            ("{^LN-BEG}Epoch", "1370000000 x", "2013-05-31T11:33:20Z", "| x"),
            ("{^LN-BEG}%b-%d-%Exy %H:%M:%S", "Apr-27-13 02:33:06 x", "2013-04-27T00:33:06Z", "| x"),
            (r"^%b %d, %ExY %I:%M:%S %p", "apr 15, 2013 8:34:08 PM x", "2013-04-15T18:34:08Z", "| x"),
            (r"^%Y:%m:%d-%H:%M:%S", "2005:01:02-03:04:05: x", "2005-01-02T01:04:05Z", "|: x"),
            (r"^t=%Y-%m-%dT%H:%M:%S%z", "t=2020-10-19T17:44:33+0200 x", "2020-10-19T15:44:33Z", "| x"),
        ];
        for (pattern, line, at, rest) in cases {
            assert_eq!(found(Some(pattern), line), Some((at.to_owned(), rest.to_owned())), "{pattern}");
        }
        assert_eq!(found(Some("{^LN-BEG}"), "much text before Jun 21 16:47:46"), None);
        assert_eq!(found(Some("{NONE}"), "Jun 21 16:47:46 x"), None);
    }

    #[test]
    fn a_directive_that_is_not_known_is_said() {
        let mut problems = Vec::new();
        Dates::new(Some("^%Q %Y"), &mut |problem| problems.push(problem.to_string()));
        assert!(problems[0].contains("%Q"), "{problems:?}");
    }
}
