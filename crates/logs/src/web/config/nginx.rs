//! nginx's configuration: `log_format`, `access_log`, `error_log`, `include`, `set_real_ip_from`.

use std::collections::HashMap;

use super::{ConfigText, LogKind, WebLogs, shown};
use crate::web::format::{Escaping, Format};

/// Words of one directive that are read.
const MAX_WORDS: usize = 1024;

/// Words, quotes and comments as `ngx_conf_read_token` has them.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

enum Token {
    Word(String),
    /// `;`, `{`.
    End,
    /// `}`
    Close,
}

impl Tokens<'_> {
    fn bump(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = self.rest.get(next.len_utf8()..)?;
        self.line += usize::from(next == '\n');
        Some(next)
    }

    /// A word in quotes, behind the opening one.
    fn quoted(&mut self, quote: char) -> String {
        let mut word = String::new();
        while let Some(next) = self.bump().filter(|next| *next != quote) {
            if next != '\\' {
                word.push(next);
                continue;
            }
            match self.bump() {
                Some('t') => word.push('\t'),
                Some('r') => word.push('\r'),
                Some('n') => word.push('\n'),
                Some(escaped @ ('"' | '\'' | '\\')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => {}
            }
        }
        word
    }

    fn plain(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(next) = self.rest.chars().next() {
            let ends = next.is_whitespace() || matches!(next, ';' | '{' | '}') && !(next == '{' && word.ends_with('$'));
            let in_braces = next == '}' && word.rfind("${").is_some_and(|open| !word.get(open..).unwrap_or_default().contains('}'));
            if ends && !in_braces {
                break;
            }
            word.extend(self.bump());
        }
        word
    }

    /// Leaves out a block of another language, whose quotes mean nothing here.
    fn skip_block(&mut self) {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.bump() {
                Some('{') => depth += 1,
                Some('}') => depth -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            return Some(match self.bump()? {
                ';' | '{' => Token::End,
                '}' => Token::Close,
                '#' => {
                    while self.bump().is_some_and(|next| next != '\n') {}
                    continue;
                }
                quote @ ('"' | '\'') => Token::Word(self.quoted(quote)),
                space if space.is_whitespace() => continue,
                first => Token::Word(self.plain(first)),
            });
        }
    }
}

/// Every directive of a file with its line.
fn directives(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut tokens = Tokens { rest: text, line: 1 };
    let (mut out, mut words) = (Vec::new(), Vec::new());
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) if words.len() < MAX_WORDS => words.push(word),
            Token::Word(_) => {}
            Token::End => {
                let lua = words.first().is_some_and(|name: &String| name.ends_with("_by_lua_block"));
                out.push((tokens.line, std::mem::take(&mut words)));
                if lua {
                    tokens.skip_block();
                }
            }
            Token::Close => words.clear(),
        }
    }
    out
}

/// Which logs these files configure. Formats may be defined in another file than they are used in.
pub fn read(files: &[ConfigText<'_>]) -> WebLogs {
    let mut out = WebLogs::default();
    let read: Vec<_> = files.iter().map(|file| (file.name, directives(file.text))).collect();
    let mut formats = HashMap::from([("combined".to_owned(), Format::combined())]);
    for (_, words) in read.iter().flat_map(|(_, directives)| directives) {
        if let ["log_format", name, parts @ ..] = words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            let (escaping, parts) = match parts.split_first() {
                Some((&"escape=json", rest)) => (Escaping::Json, rest),
                Some((&"escape=none", rest)) => (Escaping::None, rest),
                Some((&"escape=default", rest)) => (Escaping::Default, rest),
                _ => (Escaping::Default, parts),
            };
            formats.insert((*name).to_owned(), Format::nginx(&parts.concat(), escaping));
        }
    }
    for (file, directives) in &read {
        for (line, words) in directives {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            directive(&mut out, &formats, &words, &format!("{}:{line}", shown(file)));
        }
    }
    out
}

fn directive(out: &mut WebLogs, formats: &HashMap<String, Format>, words: &[&str], place: &str) {
    match words {
        ["include", pattern] => out.include(pattern),
        ["set_real_ip_from", range] if !range.starts_with("unix:") => out.proxies.push((*range).to_owned()),
        ["access_log", "off", ..] | ["error_log", "stderr" | "/dev/null", ..] => {}
        ["access_log" | "error_log", path, ..] if path.starts_with("syslog:") || path.starts_with("memory:") => {
            out.note(format!("{place}: {} is not a file; add the place where its lines end up as a source", shown(path)));
        }
        ["access_log", path, ..] if path.contains('$') => {
            out.note(format!("{place}: the path {} has variables; add each of its files as a source", shown(path)));
        }
        ["access_log", path, rest @ ..] => {
            let name = rest.first().filter(|word| !word.contains('=') && **word != "gzip").unwrap_or(&"combined");
            let format = formats.get(*name);
            if format.is_none() {
                out.note(format!(
                    "{place}: log_format {} is not defined in the files that were read; lines are read by what they look like",
                    shown(name)
                ));
            }
            if format.is_some_and(|format| !format.names_the_peer()) {
                out.note(format!("{place}: log_format {} does not say who the client is; add $remote_addr at its start", shown(name)));
            }
            out.log(path, LogKind::Access(format.cloned()));
        }
        ["error_log", path, ..] => out.log(path, LogKind::NginxError),
        _ => {}
    }
}
