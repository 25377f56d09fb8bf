//! Apache's configuration: `LogFormat`, `CustomLog`, `TransferLog`, `ErrorLog`, `Include`, `Define`, `RemoteIPTrustedProxy`.

use std::collections::HashMap;

use super::{ConfigText, LogKind, WebLogs, shown};
use crate::web::format::Format;

/// One directive's words, quotes and backslashes read as `ap_getword_conf` does.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        let mut word = String::new();
        let mut chars = rest.char_indices();
        let quote = Some(first).filter(|first| matches!(first, '"' | '\''));
        if quote.is_some() {
            chars.next();
        }
        let mut end = rest.len();
        while let Some((at, next)) = chars.next() {
            if quote == Some(next) || quote.is_none() && next.is_whitespace() {
                end = at + next.len_utf8();
                break;
            }
            match (next, quote) {
                ('\\', Some(quote)) => match chars.next() {
                    Some((_, escaped)) if escaped == quote || escaped == '\\' => word.push(escaped),
                    Some((_, other)) => word.extend(['\\', other]),
                    None => word.push('\\'),
                },
                (next, _) => word.push(next),
            }
        }
        out.push(word);
        rest = rest.get(end..).unwrap_or_default().trim_start();
    }
    out
}

/// Lines with their numbers; one that ends with a backslash goes on in the next.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.lines().enumerate() {
        let part = line.strip_suffix('\\').unwrap_or(line);
        match out.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => whole.push_str(part),
            None => out.push((number + 1, part.to_owned())),
        }
        goes_on = line.ends_with('\\');
    }
    out.retain(|(_, line)| !line.trim_start().starts_with(['#', '<']));
    out
}

/// Puts in the values of `${NAME}`; one that is not known stays.
fn filled(text: &str, values: &HashMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, follows)) => {
                match values.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.extend(["${", name, "}"]),
                }
                rest = follows;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Which logs these files configure. `environment` is what the server was started with: Debian sets `APACHE_LOG_DIR` in `envvars`.
pub fn read(files: &[ConfigText<'_>], environment: &[(String, String)]) -> WebLogs {
    let mut out = WebLogs::default();
    let mut values: HashMap<String, String> = environment.iter().cloned().collect();
    let mut formats = HashMap::new();
    // Of a format without a nickname, for `TransferLog`.
    let mut nameless = Format::apache("%h %l %u %t \"%r\" %>s %b");
    let mut read = Vec::new();
    for file in files {
        for (number, line) in lines(file.text) {
            let words = words(&line);
            match directive(&words).as_slice() {
                ["define", name, value] => drop(values.insert((*name).to_owned(), (*value).to_owned())),
                ["logformat", format, nickname] => drop(formats.insert((*nickname).to_owned(), Format::apache(&filled(format, &values)))),
                ["logformat", format] => nameless = Format::apache(&filled(format, &values)),
                _ => {}
            }
            read.push((format!("{}:{number}", shown(file.name)), words));
        }
    }
    for (place, words) in &read {
        match directive(words).as_slice() {
            ["include" | "includeoptional", pattern] => out.include(&filled(pattern, &values)),
            ["remoteiptrustedproxy" | "remoteipinternalproxy", ranges @ ..] => {
                out.proxies.extend(ranges.iter().map(|one| (*one).to_owned()))
            }
            ["customlog" | "globallog", path, format, ..] => {
                let known =
                    formats.get(*format).cloned().or_else(|| format.contains('%').then(|| Format::apache(&filled(format, &values))));
                if known.is_none() {
                    out.note(format!(
                        "{place}: LogFormat {} is not defined in the files that were read; lines are read by what they look like",
                        shown(format)
                    ));
                }
                if known.as_ref().is_some_and(|known| !known.names_the_peer()) {
                    out.note(format!("{place}: the format {} does not say who the client is; add %a at its start", shown(format)));
                }
                file(&mut out, &filled(path, &values), LogKind::Access(known), place);
            }
            ["transferlog", path] => file(&mut out, &filled(path, &values), LogKind::Access(Some(nameless.clone())), place),
            ["errorlog", path, ..] => file(&mut out, &filled(path, &values), LogKind::ApacheError, place),
            _ => {}
        }
    }
    out
}

/// The words of a directive, its name in small letters.
fn directive(words: &[String]) -> Vec<&str> {
    const NAMES: [&str; 11] = [
        "define", "logformat", "include", "includeoptional", "customlog", "globallog", "transferlog", "errorlog", "remoteiptrustedproxy",
        "remoteipinternalproxy", "",
    ];
    let Some((name, rest)) = words.split_first() else { return Vec::new() };
    let name = NAMES.iter().find(|own| own.eq_ignore_ascii_case(name)).copied().unwrap_or_default();
    std::iter::once(name).chain(rest.iter().map(String::as_str)).collect()
}

fn file(out: &mut WebLogs, path: &str, kind: LogKind, place: &str) {
    if path.starts_with('|') || path.starts_with("syslog") || path.starts_with("journald") {
        out.note(format!("{place}: {} is not a file; add the place where its lines end up as a source", shown(path)));
    } else if path.contains("${") {
        out.note(format!("{place}: the path {} names a variable that is not known; add its files as a source", shown(path)));
    } else if path != "/dev/null" {
        out.log(path, kind);
    }
}
