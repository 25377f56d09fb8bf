//! What a parameter is for, by its name: how much a text in it must prove before it counts.

use super::Family;
use super::rule::Strength;

/// What is expected in a part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    /// Weaker findings do not count.
    pub(super) least: Strength,
    /// An address of another host is what belongs here.
    link: bool,
    /// And one of this host or its neighbours, too: where a login goes on to.
    redirect: bool,
}

/// A value for a program: a number, a name, a choice.
pub(super) const VALUE: Context = Context { least: Strength::Fair, link: false, redirect: false };
/// Words that people wrote, or a path or header, where any words may be.
pub(super) const WORDS: Context = Context { least: Strength::Strong, link: false, redirect: false };

/// Names of fields that people write words into, and of query languages that look like SQL.
const WORDY: &[&[u8]] = &[
    b"q", b"s", b"k", b"kw", b"text", b"title", b"term", b"terms", b"content", b"message", b"msg", b"body", b"note", b"notes", b"subject",
    b"summary", b"snippet", b"paste", b"find", b"word", b"words", b"phrase", b"wd", b"jql", b"cql", b"expr", b"formula", b"equation",
    b"latex", b"math", b"topic", b"sentence", b"prompt", b"answer", b"reply", b"quote", b"lyrics", b"bio", b"about", b"caption",
];
/// What a name of such a field has in it.
const WORDY_PARTS: &[&[u8]] =
    &[b"search", b"query", b"keyword", b"comment", b"descri", b"sql", b"filter", b"where", b"intitle", b"question", b"excerpt", b"lookup"];
const LINKS: &[&[u8]] = &[
    b"url", b"uri", b"link", b"href", b"u", b"to", b"out", b"image", b"img", b"feed", b"from", b"site", b"domain", b"target", b"loc",
    b"location", b"dest", b"destination", b"mirror", b"source", b"website", b"homepage", b"avatar", b"go", b"page_url", b"dl",
];
const REDIRECTS: &[&[u8]] = &[b"next", b"goto", b"continue", b"callback", b"back", b"ref", b"service", b"relaystate", b"origin", b"after"];
const REDIRECT_PARTS: &[&[u8]] = &[b"redirect", b"return", b"refer", b"forward", b"callback", b"backurl", b"_to", b"logout"];

fn has_part(name: &[u8], parts: &[&[u8]]) -> bool {
    parts.iter().any(|part| memchr::memmem::find(name, part).is_some())
}

impl Context {
    /// By the name of a parameter, in small letters and decoded.
    pub(super) fn of(name: &[u8]) -> Self {
        let last = name
            .rsplit(|byte| matches!(byte, b'[' | b'.'))
            .map(|part| part.strip_suffix(b"]").unwrap_or(part))
            .find(|part| !part.is_empty());
        let last = last.unwrap_or(name);
        let wordy = WORDY.contains(&last) || has_part(name, WORDY_PARTS);
        let redirect = REDIRECTS.contains(&last) || has_part(name, REDIRECT_PARTS);
        let link = redirect || LINKS.contains(&last) || last.ends_with(b"url") || last.ends_with(b"uri");
        Self { least: if wordy { Strength::Strong } else { Strength::Fair }, link, redirect }
    }

    /// The same, in a part that proves less.
    pub(super) fn at_least(self, least: Strength) -> Self {
        Self { least: self.least.max(least), ..self }
    }

    /// The same, for a value that is written as data: JSON has braces, quotes and operators of its own.
    pub(super) fn for_text(self, lower: &[u8]) -> Self {
        let data = matches!(lower.trim_ascii_start(), [b'{', b'"' | b'}', ..] | [b'[', b'{' | b'"' | b']', ..])
            && matches!(lower.trim_ascii_end(), [.., b'}' | b']']);
        if data { Self { least: Strength::Strong, ..self } } else { self }
    }

    /// Whether a finding of this family counts here.
    pub(super) fn counts(self, family: Family, strength: Strength) -> bool {
        let expected = match family {
            Family::FileInclusion => self.link,
            Family::RequestForgery => self.redirect,
            _ => false,
        };
        strength >= self.least && (strength == Strength::Strong || !expected)
    }
}
