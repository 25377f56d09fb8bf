//! What is fuzzed: one function for each way in by which bytes of strangers come. It panics where a promise is broken. `tests/fuzzing.rs` runs
//! them for seconds at each test, `fuzz/` under libFuzzer for as long as somebody likes.

use bartizan_logs::web::config::{ConfigText, read_apache as read_apache_config, read_nginx as read_nginx_config};
use bartizan_logs::web::error::{NginxErrors, WebError, read_apache};
use bartizan_logs::web::{Access, AccessReader, Format as WebFormat, MAX_EXCERPT, MAX_FINDINGS, Place, Proxies, judge};
use bartizan_logs::{Context, Format, MAX_DETAIL, MAX_NAME, Parsed, parse};

/// A name, and what is done with the bytes.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: [Target; 7] = [
    ("auth_line", auth_line),
    ("journal_entry", journal_entry),
    ("docker_line", docker_line),
    ("audit_line", audit_line),
    ("access_line", access_line),
    ("error_line", error_line),
    ("server_config", server_config),
];

fn parsed(format: Format, lines: &[u8]) {
    let mut context = Context::new("2026-11-28T10:00:00Z".parse().unwrap(), 3600);
    // Several lines, so that what one leaves behind meets the next.
    for line in lines.split(|byte| *byte == b'\n') {
        let Parsed::Record(record) = parse(format, line, &mut context) else { continue };
        for text in [record.user, record.target, record.host, record.fingerprint].into_iter().flatten() {
            assert!(text.len() <= MAX_NAME, "{record:?}");
        }
        assert!(record.detail.is_none_or(|detail| detail.len() <= MAX_DETAIL) && record.repeated > 0, "{record:?}");
        assert_eq!(record.keep().raw(), record);
    }
}

/// Lines of a file that a syslog daemon writes.
pub(crate) fn auth_line(bytes: &[u8]) {
    parsed(Format::Auth, bytes);
}

/// Entries of the journal.
pub(crate) fn journal_entry(bytes: &[u8]) {
    parsed(Format::Journal, bytes);
}

/// Lines of auditd.
pub(crate) fn audit_line(bytes: &[u8]) {
    parsed(Format::Audit, bytes);
}

/// Docker's `json-file`.
pub(crate) fn docker_line(bytes: &[u8]) {
    parsed(Format::Docker, bytes);
}

fn judged(access: &Access<'_>, proxies: &Proxies) {
    let found = judge(access);
    assert!(found.len() <= MAX_FINDINGS);
    let asked = access.asked();
    let path = asked.target.iter().position(|byte| *byte == b'?').unwrap_or(asked.target.len());
    for one in &found {
        assert!(one.holds() && one.excerpt.as_bytes().len() <= MAX_EXCERPT && one.span.start <= one.span.end, "{one:?}");
        let most = match one.place {
            // A path is looked at in its decoded form, too, which is never longer.
            Place::Path => path,
            Place::Query => access.query().len(),
            Place::Referer => access.referer.len(),
            Place::Agent => access.agent.len(),
            Place::Header => access.forwarded.len().max(access.host.len()).max(access.user.len()),
        };
        assert!(one.span.end <= most, "{one:?} of {most}");
    }
    // Whom a line names is its peer, unless that is a proxy.
    let client = access.client(proxies);
    assert_eq!(client.is_some(), access.peer.is_some());
    assert!(client == access.peer || access.peer.is_some_and(|peer| proxies.contains(peer)));
    assert_eq!(judge(&access.clone().into_owned()), found);
}

/// A line of an access log in every usual format, and what was requested in it.
pub(crate) fn access_line(bytes: &[u8]) {
    let proxies = Proxies::parse(&["10.0.0.0/8", "192.0.2.7"]).unwrap();
    let own = "$remote_addr $http_x_forwarded_for [$time_iso8601] \"$request\" $status \"$http_user_agent\" $request_time";
    for reader in [
        AccessReader::guessing(),
        AccessReader::of(WebFormat::combined()),
        AccessReader::of(WebFormat::nginx(own, Default::default())),
        AccessReader::of(WebFormat::apache("%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D")),
    ] {
        if let Some(access) = reader.read(bytes) {
            judged(&access, &proxies);
        }
    }
    // The bytes as the request itself, whatever a format would have made of them.
    let target = std::borrow::Cow::Borrowed(bytes);
    let peer = "10.1.1.1".parse().ok();
    judged(
        &Access { peer, target: target.clone(), agent: target.clone(), referer: target.clone(), forwarded: target, ..Access::default() },
        &proxies,
    );
}

/// Lines of the error logs of nginx and Apache.
pub(crate) fn error_line(bytes: &[u8]) {
    let told = |error: WebError<'_>| {
        let within = |text: Option<&[u8]>| text.is_none_or(|text| text.len() <= bytes.len());
        assert!(within(error.user) && within(error.path) && error.message.len() <= bytes.len(), "{error:?}");
    };
    let mut nginx = NginxErrors::new(3600);
    for line in bytes.split(|byte| *byte == b'\n') {
        nginx.read(line).into_iter().for_each(told);
        read_apache(line, -3600).into_iter().for_each(told);
    }
}

/// The configuration of a server: its owner writes it, and so does whoever got that far.
pub(crate) fn server_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let file = [ConfigText { name: "fuzzed.conf", text: &text }];
    for logs in [read_nginx_config(&file), read_apache_config(&file, &[("APACHE_LOG_DIR".to_owned(), "/var/log/apache2".to_owned())])] {
        assert!(logs.notes.iter().all(|note| !note.chars().any(char::is_control)), "{:?}", logs.notes);
    }
    let _ = (WebFormat::nginx(&text, Default::default()), WebFormat::apache(&text));
}
