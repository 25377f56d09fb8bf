//! Scripts in disguise: a picture with PHP in it, and settings that make a server run what is no script.

use super::{Finding, WEB_SHELL, extension, holds};

/// How pictures and documents begin.
const PICTURES: [&[u8]; 7] = [b"GIF87a", b"GIF89a", b"\x89PNG\r\n", b"\xff\xd8\xff", b"BM", b"%PDF-", b"RIFF"];
/// How they end in a path.
const ENDINGS: [&[u8]; 9] = [b"gif", b"png", b"jpg", b"jpeg", b"bmp", b"ico", b"webp", b"svg", b"pdf"];
/// Files with settings for one directory (httpd: AccessFileName; PHP: user_ini.filename).
const SETTINGS: [&[u8]; 2] = [b".htaccess", b".user.ini"];

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

fn is_picture(path: &[u8], content: &[u8]) -> bool {
    PICTURES.iter().any(|picture| content.starts_with(picture)) || ENDINGS.contains(&extension(path).as_slice())
}

pub(super) fn is_candidate(path: &[u8], beginning: &[u8]) -> bool {
    is_picture(path, beginning) || SETTINGS.contains(&name(path))
}

pub(super) fn judge(path: &[u8], content: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    let opens = memchr::memmem::find(content, b"<?php").and_then(|at| content.get(at + 5)).is_some_and(u8::is_ascii_whitespace);
    if is_picture(path, content) && opens {
        found.push(Finding::new("script-in-a-picture", WEB_SHELL, "a picture or document with PHP in it"));
    }
    if SETTINGS.contains(&name(path)) {
        found.extend(settings(content));
    }
    found
}

fn settings(content: &[u8]) -> Option<Finding> {
    for line in content.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii().to_ascii_lowercase();
        if line.starts_with(b"#") || line.starts_with(b";") {
            continue;
        }
        if holds(&line, b"auto_prepend_file") || holds(&line, b"auto_append_file") {
            return Some(Finding::new("runs-a-file-with-every-page", WEB_SHELL, "the server runs another file with every page"));
        }
        let handler = [&b"addhandler"[..], b"addtype", b"sethandler", b"forcetype"].iter().any(|word| line.starts_with(word));
        let script = [&b"php"[..], b"cgi-script"].iter().any(|word| holds(&line, word));
        let disguised = ENDINGS.iter().chain(&[&b"txt"[..], b"log", b"css", b"html", b"htm", b"json", b"xml"]).any(|ending| {
            let words = line.split(|byte| byte.is_ascii_whitespace() || *byte == b'.');
            words.skip(1).any(|word| word == *ending)
        });
        if handler && script && (disguised || line.starts_with(b"sethandler") || line.starts_with(b"forcetype")) {
            return Some(Finding::new("runs-what-is-no-script", WEB_SHELL, "the server runs files as scripts that are none by name"));
        }
    }
    None
}
