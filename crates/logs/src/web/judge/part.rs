//! Cuts a request into parts, decodes each, and tries the rules on it.

use std::borrow::Cow;
use std::ops::Range;

use super::context::{Context, VALUE, WORDS};
use super::rule::{Form, Rules, Strength, Woken};
use super::{Family, Findings, Place};
use crate::web::decode::{Decoded, base64, decode, without_comments, without_quoting};
use crate::web::escape::unescape;

/// Parameters of a query that are judged one by one; the rest is one value.
const MAX_PARAMETERS: usize = 256;

/// What ordinary values consist of: nothing here can begin anything else, but for the names of Java's classes and its serialised objects.
fn is_plain(text: &[u8]) -> bool {
    let java = matches!(text, [b'j', b'a', b'v', b'a', ..] | [b'o', b'r', b'g', b'.', ..] | [b'r', b'O', b'0', b'A', b'B', ..])
        || matches!(text, [b'K', b'z', b't', b'A', b'A', b'U', ..] | [b'C', b's', b'7', b'Q', b'A', b'F', ..]);
    !java && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~' | b',' | b':'))
}

/// One part of a request on its way through the rules.
struct Part<'f> {
    place: Place,
    span: Range<usize>,
    context: Context,
    findings: &'f mut Findings,
}

impl Part<'_> {
    /// Tries the rules of one form that the words of a text wake, of one family or all.
    fn try_rules(&mut self, text: &[u8], form: Form, only: Option<Family>) {
        self.try_woken(&Rules::all().woken(text), text, form, only);
    }

    /// The same, where it is known which rules wake.
    fn try_woken(&mut self, woken: &Woken, text: &[u8], form: Form, only: Option<Family>) {
        if woken.is_empty() {
            return;
        }
        let rules = Rules::all();
        let mut work = self.findings.work_left();
        rules.find(woken, (form, self.context.least), text, &mut work, |found| {
            let counts = self.context.counts(found.family, found.rule.strength) && only.is_none_or(|only| only == found.family);
            if let Some(proof) = text.get(found.at).filter(|_| counts) {
                self.findings.add(found.family, found.rule.strength, found.rule.why, (self.place, self.span.clone()), proof);
            }
        });
        if !self.findings.worked(work) {
            let place = (self.place, self.span.clone());
            self.findings.add(Family::Scanner, Strength::Fair, "more of it looks like an attack than is judged", place, text);
        }
    }

    /// Tries all rules on a decoded text, and on what it hides.
    fn judge(&mut self, text: &Decoded) {
        self.context = self.context.for_text(&text.lower);
        self.forms(text);
        if text.has_nul && self.context.least == Strength::Fair {
            let place = (self.place, self.span.clone());
            self.findings.add(Family::Traversal, Strength::Fair, "a NUL byte, which ends a name early", place, &text.cased);
        }
        if let Some(hidden) = base64(&text.cased) {
            self.forms(&decode(&hidden, false));
        }
    }

    /// Tries all rules on each form of a text.
    fn forms(&mut self, text: &Decoded) {
        // One pass over the text for its words, whatever is made of it.
        let woken = Rules::all().woken(&text.lower);
        self.try_woken(&woken, &text.lower, Form::Plain, None);
        self.try_woken(&woken, &text.cased, Form::Cased, None);
        if memchr::memmem::find(&text.lower, b"\\x").or_else(|| memchr::memmem::find(&text.lower, b"\\u")).is_some() {
            // What a string of JavaScript, PHP or Python means.
            let meant = unescape(&text.lower).to_ascii_lowercase();
            self.try_rules(&meant, Form::Plain, None);
        }
        if let Some(bare) = without_comments(&text.lower) {
            self.try_rules(&bare, Form::Plain, None);
        }
        if self.context.least == Strength::Fair {
            self.unquoted(&woken, &text.lower);
        }
    }

    /// What a shell makes of a text whose words are broken up by quotes.
    fn unquoted(&mut self, woken: &Woken, lower: &[u8]) {
        if memchr::memchr3(b'\'', b'"', b'\\', lower).is_none() && memchr::memchr3(b'`', b'$', b'^', lower).is_none() {
            return;
        }
        if let Some(bare) = without_quoting(lower) {
            // The words that wake these rules are the quotes themselves.
            self.try_woken(woken, &bare, Form::Unquoted, Some(Family::CommandInjection));
            self.try_rules(&bare, Form::Plain, Some(Family::CommandInjection));
        }
    }
}

/// The parameters of a query, with where each lies.
fn parameters(query: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut from = Some(0);
    let mut count = 0;
    std::iter::from_fn(move || {
        let start = from?;
        let rest = query.get(start..)?;
        count += 1;
        let length = memchr::memchr(b'&', rest).filter(|_| count < MAX_PARAMETERS);
        from = length.map(|length| start + length + 1);
        let range = start..start + length.unwrap_or(rest.len());
        Some((range.clone(), query.get(range)?))
    })
}

fn small(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().any(u8::is_ascii_uppercase) { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) }
}

/// A query: every parameter by itself, in the light of its name.
pub(super) fn query(query: &[u8], findings: &mut Findings) {
    if query.is_empty() {
        return;
    }
    for (span, text) in parameters(query) {
        let equals = memchr::memchr(b'=', text);
        let (name, value) = text.split_at(equals.unwrap_or(0));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let odd_name = !is_name(name);
        if odd_name {
            // `a'b=1`, `user[$ne]=x`, `x;id=`: a name is a program's, too.
            let whole = decode(text, true);
            let context = Context::of(&whole.lower.get(..whole.lower.len().min(64)).map(first_word).unwrap_or_default());
            Part { place: Place::Query, span: span.clone(), context, findings }.judge(&whole);
        }
        if is_plain(value) {
            if let Some(hidden) = base64(value) {
                let context = Context::of(&small(name));
                Part { place: Place::Query, span, context, findings }.forms(&decode(&hidden, false));
            }
            continue;
        }
        let context = if odd_name { VALUE } else { Context::of(&small(name)) };
        self::value(value, Part { place: Place::Query, span, context, findings });
    }
}

/// The word that a name begins with: `filters` of `filters[price][$gte]`.
fn first_word(name: &[u8]) -> Vec<u8> {
    name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').copied().collect()
}

/// Whether a name is made of what names are made of, brackets included, and names nothing that every object has.
fn is_name(name: &[u8]) -> bool {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b':' | b',' | b'~');
    let mut at = 0;
    while let Some(byte) = name.get(at) {
        match (name.get(at..at + 3), usual(byte)) {
            (_, true) => at += 1,
            (Some(b"%5B" | b"%5b" | b"%5D" | b"%5d"), _) => at += 3,
            _ => return false,
        }
    }
    let special = |word: &[u8]| memchr::memmem::find(name, word).is_none();
    name.len() < 9 || special(b"__proto__") && special(b"constructor") && special(b"lassLoader") && special(b"classloader")
}

/// A value. An address with a query of its own is taken apart: its parameters are judged as those of any query.
fn value(value: &[u8], mut part: Part<'_>) {
    let text = decode(value, true);
    let head = text.lower.get(..text.lower.len().min(10)).unwrap_or_default();
    let is_address = head.starts_with(b"http://") || head.starts_with(b"https://") || head.starts_with(b"/");
    let Some(mark) = memchr::memchr(b'?', &text.lower)
        .filter(|mark| is_address && text.lower.get(mark + 1..).is_some_and(|query| query.contains(&b'=')))
    else {
        part.judge(&text);
        return;
    };
    for family in [Family::FileInclusion, Family::RequestForgery, Family::Lookup] {
        part.try_rules(&text.lower, Form::Plain, Some(family));
    }
    let inner = |range: Range<usize>| Decoded {
        cased: text.cased.get(range.clone()).unwrap_or_default().to_vec(),
        lower: text.lower.get(range).unwrap_or_default().to_vec(),
        ..Decoded::default()
    };
    let (context, span) = (part.context, part.span.clone());
    part.judge(&inner(0..mark));
    for (range, _) in parameters(text.lower.get(mark + 1..).unwrap_or_default()) {
        let own = inner(mark + 1 + range.start..mark + 1 + range.end);
        let equals = memchr::memchr(b'=', &own.lower).map_or(0, |at| at + 1);
        let name = own.lower.get(..equals.saturating_sub(1)).unwrap_or_default();
        let inside = Decoded {
            cased: own.cased.get(equals..).unwrap_or_default().to_vec(),
            lower: own.lower.get(equals..).unwrap_or_default().to_vec(),
            ..Decoded::default()
        };
        Part { place: Place::Query, span: span.clone(), context: Context::of(name).at_least(context.least), findings: &mut *part.findings }
            .judge(&inside);
    }
}

/// The path. Titles of pages hold any words; but no client leaves a step up in a path: it goes there itself (RFC 3986, section 5.2.4).
pub(super) fn path(path: &[u8], findings: &mut Findings) {
    let plain =
        path.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.' | b'~' | b',' | b':' | b'+'));
    let steps = memchr::memmem::find(path, b"..").is_some();
    if plain && !steps {
        return;
    }
    let text = decode(path, false);
    let mut part = Part { place: Place::Path, span: 0..path.len(), context: WORDS, findings };
    part.judge(&text);
    let climbs = text.lower.split(|byte| matches!(byte, b'/' | b'\\')).any(|step| step == b".." || step == b"..;");
    if climbs {
        let written = path.split(|byte| *byte == b'/').any(|step| step == b"..");
        let strength = if written { Strength::Fair } else { Strength::Strong };
        part.findings.add(
            Family::Traversal,
            strength,
            "a step up in the path, which no browser sends",
            (Place::Path, 0..path.len()),
            &text.lower,
        );
    }
}

/// Whether a text has one of the marks that attacks need: a few sweeps that look at many bytes at once.
fn has_mark(text: &[u8]) -> bool {
    [[b'\'', b'"', b'<'], [b'$', b'{', b'`'], [b'|', b'\\', b'%']].iter().any(|[a, b, c]| memchr::memchr3(*a, *b, *c, text).is_some())
        || memchr::memchr2(b'\r', b'\n', text).is_some()
}

/// A header in which any text may stand; only what holds one of the marks that attacks need is looked at.
pub(super) fn header(text: &[u8], place: Place, findings: &mut Findings) {
    if text.is_empty() {
        return;
    }
    let text = text.get(..text.len().min(super::MAX_JUDGED)).unwrap_or_default();
    if has_mark(text) || memchr::memchr2(b'>', b'(', text).is_some() {
        Part { place, span: 0..text.len(), context: WORDS, findings }.judge(&decode(text, true));
    }
}

/// `User-Agent`, in which parentheses are usual.
pub(super) fn agent(text: &[u8], findings: &mut Findings) {
    let text = text.get(..text.len().min(super::MAX_JUDGED)).unwrap_or_default();
    if has_mark(text) {
        Part { place: Place::Agent, span: 0..text.len(), context: WORDS, findings }.judge(&decode(text, false));
    }
}
