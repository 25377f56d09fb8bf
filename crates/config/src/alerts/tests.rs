//! What people write in `[alerts]`, right and wrong.

use std::path::Path;

use super::*;
use crate::sink_types::WebForm;

fn read(text: &str) -> Result<AlertSettings, String> {
    let mut layers = Layers::built_in(crate::agent::DEFAULT).unwrap();
    layers.add_file(text, Path::new("agent.toml")).and_then(|()| alerts(&layers)).map_err(|error| error.to_string())
}

#[test]
fn sinks_have_rules_of_their_own_and_secrets_lie_elsewhere() {
    let settings = read(
        "[alerts]\nheartbeat = { credential = \"ping\" }\nheartbeat_every = \"1m\"\n\
         [[alerts.sinks]]\nname = \"ops\"\ntype = \"json\"\nurl = \"https://host/SECRET\"\nsecret = { file = \"/etc/key\" }\n\
         [[alerts.sinks]]\nname = \"boss\"\ntype = \"telegram\"\nurl = { env = \"BOT\" }\nchat = \"-1\"\nfrom = \"high\"\nafter = \"15m\"\n\
         kinds = [\"alert\", \"question\"]\nquiet = \"22:00-07:00\"\ndigest = \"06:30\"\nat_once = \"critical\"\n\
         [[alerts.sinks]]\nname = \"page\"\ntype = \"command\"\ncommand = [\"/bin/page\", \"-u\"]\n\
         [[alerts.sinks]]\nname = \"log\"\ntype = \"syslog\"\naddress = \"tcp://[2001:db8::1]:601\"\n",
    )
    .unwrap();
    assert_eq!(settings.heartbeat, Some(Secret::Credential("ping".to_owned())));
    assert_eq!(settings.heartbeat_every, Duration::from_secs(60));
    let [ops, boss, page, log] = settings.sinks.as_slice() else { panic!("{settings:?}") };
    let url = Secret::Plain("https://host/SECRET".to_owned());
    assert_eq!(ops.to, SinkType::Web { url, form: WebForm::Json { secret: Some(Secret::File("/etc/key".into())) } });
    assert_eq!((ops.from, ops.at_once, ops.after), (Severity::Info, Severity::Medium, Duration::ZERO));
    assert_eq!((boss.from, boss.after, boss.quiet), (Severity::High, Duration::from_secs(900), Hours::parse("22:00-07:00")));
    assert_eq!((boss.kinds.as_slice(), boss.at_once), (&[MessageKind::Alert, MessageKind::Question][..], Severity::Critical));
    let SinkType::Command { line, user, timeout } = &page.to else { panic!("{page:?}") };
    assert_eq!((line.len(), user.as_str(), *timeout), (2, "nobody", Duration::from_secs(10)));
    assert_eq!(log.to, SinkType::Syslog { address: "[2001:db8::1]:601".to_owned(), tcp: true });
    assert!(!format!("{settings:?}").contains("SECRET"));
    assert_eq!(shown(&settings), "[ops (json), boss (telegram), page (command), log (syslog)]");
}

#[test]
fn the_webhook_of_before_is_a_sink_that_is_told_everything_at_once() {
    let settings = read("webhook = \"https://host/x\"\nwebhook_format = \"discord\"\n").unwrap();
    let [webhook] = settings.sinks.as_slice() else { panic!("{settings:?}") };
    assert_eq!((webhook.name.as_str(), webhook.to.name(), webhook.at_once), ("webhook", "discord", Severity::Info));
    assert!(read("").unwrap().sinks.is_empty());
}

#[test]
fn a_mistake_names_the_sink_and_says_what_to_write() {
    let sink = |rest: &str| format!("[[alerts.sinks]]\nname = \"ops\"\n{rest}\n");
    let mail = |rest: &str| sink(&format!("type = \"mail\"\nserver = \"smtp.example.org:587\"\nsender = \"b@example.org\"\n{rest}"));
    for (text, expected) in [
        ("alerts_sinks = 3\n".to_owned(), "is not a list of at most 8 sinks"),
        (sink("").replace("name = \"ops\"", ""), "a sink has no name: write name = \"ops\""),
        (sink("").replace("ops", "a b"), "\"a b\" is not a valid name of a sink"),
        (sink("type = \"irc\""), "sink ops: type \"irc\" is not known: write json, slack"),
        (sink("type = \"slack\""), "sink ops: has no url"),
        (sink("type = \"slack\"\nurl = \"ftp://x/y\""), "sink ops: url: is not a web address (ftp...)"),
        (sink("type = \"slack\"\nurl = { file = \"token\" }"), "sink ops: url: is not a place of a secret"),
        (sink("type = \"json\"\nurl = \"https://x\"\nsecret = \"hush\""), "sink ops: secret is not a place of a secret"),
        (sink("type = \"slack\"\nurl = \"https://x\"\ndigets = \"08:00\""), "\"digets\" is not a setting of it (did you mean digest?)"),
        (sink("type = \"slack\"\nurl = \"https://x\"\nchat = \"1\""), "\"chat\" is not a setting of it"),
        (sink("type = \"slack\"\nurl = \"https://x\"\nfrom = \"bad\""), "from is \"bad\", not one of info, low, medium, high, critical"),
        (sink("type = \"slack\"\nurl = \"https://x\"\nquiet = \"night\""), "quiet is \"night\", not hours of a day"),
        (sink("type = \"slack\"\nurl = \"https://x\"\nkinds = [\"test\"]"), "not a list of some of alert, question, action, trouble"),
        (sink("type = \"slack\"\nurl = \"https://x\"\nafter = \"5m\""), "every sink has `after`"),
        (sink("type = \"slack\"\nurl = \"https://x\"\nafter = \"5 days\""), "after is \"5 days\", not a time up to 1day"),
        (sink("type = \"command\"\ncommand = \"page\""), "command is not a program with an absolute path"),
        (sink("type = \"command\"\ncommand = [\"/bin/page\"]\nuser = \"root\""), "user is root: name another"),
        (sink("type = \"mail\"\nserver = \"smtp\""), "server is \"smtp\", without host and port"),
        (mail(""), "has no receivers: write to = ["),
        (mail("to = [\"a@b, c@d\"]"), "\"a@b, c@d\" is no mail address"),
        (mail("to = [\"a@b\\r\\nBcc: c@d\"]"), "is no mail address"),
        (mail("to = [\"a@b\"]\nuser = \"u\""), "has a user and no password"),
        (mail("to = [\"a@b\"]\nuser = \"u\"\npassword = \"hush\""), "password is not a place of a secret"),
        (mail("to = [\"a@b\"]\ntls = \"none\"\nuser = \"u\"\npassword = { env = \"P\" }"), "a password is never sent unencrypted"),
        (mail("to = [\"a@b\"]\ntls = \"ssl\""), "tls is \"ssl\", not one of starttls, tls, none"),
        (sink("type = \"file\"\npath = \"alerts\""), "path is \"alerts\", not absolute"),
        (sink("type = \"syslog\"\naddress = \"loghost\""), "address is \"loghost\": write \"udp://"),
        (sink("type = \"syslog\"\naddress = \"udp://loghost\""), "without host and port"),
        (sink("type = \"file\"\npath = \"/a\"").repeat(2), "two sinks are called ops"),
        (sink("type = \"file\"\npath = \"/a\"").repeat(9), "is not a list of at most 8 sinks"),
        ("[alerts]\nheartbeat_every = \"1s\"\n".to_owned(), "alerts_heartbeat_every: \"1s\" is not a time from 10s to 1day"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(expected) && !error.contains('\n') && !error.contains("hush"), "{text}: {error}");
    }
}
