//! What a filter means, on small filters and lines of our own: precedence, includes, references, tags, connections, lines together.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use bartizan_fail2ban::{Failure, Filter, Import, Installed, Line, Source, import};

const COMMON: &str = "[DEFAULT]
_daemon = \\S+
__prefix = \\s*\\S+ <_daemon>(?:\\[\\d+\\])?:\\s+
";

const GATE: &str = "[INCLUDES]
before = common.conf
[DEFAULT]
_daemon = gated
[Definition]
prefregex = ^<F-MLFID>%(__prefix)s</F-MLFID><F-CONTENT>.+</F-CONTENT>$
failregex = ^refused <F-USER>\\S+</F-USER> from <HOST>$
            ^refused somebody$
            ^<F-NOFAIL>hello</F-NOFAIL> from <HOST>$
            ^<F-MLFFORGET><F-MLFGAINED>welcome</F-MLFGAINED></F-MLFFORGET> <F-USER>\\S+</F-USER> from <HOST>$
            <more-<mode>>
more-soft =
more-hard = ^knock from <HOST>$
ignoreregex = from 192\\.0\\.2\\.99$
mode = soft
";

fn imported(jails: &str, more: &[(&str, &str)]) -> Import {
    let mut texts = vec![("jail.conf", jails), ("filter.d/common.conf", COMMON), ("filter.d/gate.conf", GATE)];
    texts.extend_from_slice(more);
    import(&Installed::of(texts), false)
}

fn run(filter: &mut Filter, lines: &[&str]) -> Vec<Option<Failure>> {
    let now = "2026-03-10T12:00:00Z".parse().unwrap();
    lines.iter().map(|text| filter.line(Line { text, at: None, now, zone: 0 }).unwrap()).collect()
}

fn only(import: &Import) -> Filter {
    assert_eq!(import.jails[0].problems, [], "{:?}", import.problems);
    let (filter, problems) = Filter::new(import.jails[0].spec.as_ref().unwrap());
    assert_eq!(problems, []);
    filter.unwrap()
}

fn told(failures: &[Option<Failure>]) -> Vec<String> {
    let one = |failure: &Option<Failure>| match failure {
        Some(one) => format!("{} {}", one.address.unwrap(), one.user.as_deref().unwrap_or("-")),
        None => "-".to_owned(),
    };
    failures.iter().map(one).collect()
}

#[test]
fn later_files_are_stronger_and_what_they_replace_is_still_known() {
    let jails = "[DEFAULT]\nmaxretry = 5\nfindtime = 10m\nbantime = 1h\nenabled = false\nfilter = %(__name__)s\nlogdir = /var/log\n\
        [gate]\nenabled = true\nlogpath = %(logdir)s/gate*.log\n   %(gate/second)s tail\nsecond = /srv/gate.log\n[other]\n";
    let more = [
        ("jail.d/a.conf", "[gate]\nmaxretry = 7\n"),
        ("jail.local", "[DEFAULT]\nbantime = -1\n[gate]\nmaxretry = 8\nignoreip = 192.0.2.0/24 2001:db8::1, nobody.example\n"),
        ("filter.d/gate.local", "[Definition]\nfailregex = %(known/failregex)s\n  ^shown out <ADDR>$\n"),
    ];
    let import = imported(jails, &more);
    let gate = &import.jails[0];
    assert_eq!((gate.maxretry, gate.findtime, gate.bantime, gate.held()), (8, 600, -1, 86_400));
    assert_eq!(gate.sources, [Source::File("/var/log/gate*.log".to_owned()), Source::File("/srv/gate.log".to_owned())]);
    assert_eq!(gate.ignoreip, ["192.0.2.0/24", "2001:db8::1"]);
    assert!(gate.problems.iter().any(|problem| problem.what == "nobody.example"), "a name is not looked up, and said");
    assert!(gate.differs[0].contains("a day"));
    assert!(!import.jails[1].enabled && import.jails[1].spec.is_none());
    let spec = gate.spec.as_ref().unwrap();
    assert_eq!(spec.failregex.last().unwrap(), "^shown out <ADDR>$");
    assert!(spec.failregex[0].starts_with("^refused"), "{:?}", spec.failregex);
}

#[test]
fn a_parameter_of_the_jail_chooses_expressions_by_their_name() {
    let soft = imported("[gate]\nenabled = true\nfilter = gate\n", &[]);
    let hard = imported("[gate]\nenabled = true\nfilter = gate[mode=hard]\n", &[]);
    let line = ["Mar 10 11:59:00 host gated[1]: knock from 192.0.2.1"];
    assert_eq!(told(&run(&mut only(&soft), &line)), ["-"]);
    assert_eq!(told(&run(&mut only(&hard), &line)), ["192.0.2.1 -"]);
    let failure = run(&mut only(&hard), &line).remove(0).unwrap();
    assert_eq!(failure.at.unwrap().to_rfc3339(), "2026-03-10T11:59:00+00:00");
}

#[test]
fn lines_of_one_connection_are_joined_by_its_id() {
    let import = imported("[gate]\nenabled = true\n", &[]);
    let lines = [
        "Mar 10 11:59:00 host gated[1]: refused somebody",
        "Mar 10 11:59:01 host gated[2]: hello from 192.0.2.2",
        "Mar 10 11:59:01 host gated[1]: hello from 192.0.2.1",
        "Mar 10 11:59:02 host gated[2]: refused somebody",
        "Mar 10 11:59:03 host gated[3]: refused root from 192.0.2.3",
        "Mar 10 11:59:04 host gated[3]: welcome root from 192.0.2.3",
        "Mar 10 11:59:05 host gated[4]: refused root from 192.0.2.4",
        "Mar 10 11:59:06 host gated[4]: welcome eve from 192.0.2.4",
        "Mar 10 11:59:07 host gated[5]: refused root from 192.0.2.99",
        "Mar 10 11:59:07 host other[5]: refused root from 192.0.2.5",
    ];
    // Who failed without a name counts once the address is known; two accounts of one connection count although one was let in.
    let wanted = ["-", "-", "192.0.2.1 -", "192.0.2.2 -", "192.0.2.3 root", "-", "192.0.2.4 root", "192.0.2.4 eve", "-", "-"];
    assert_eq!(told(&run(&mut only(&import), &lines)), wanted);
}

#[test]
fn several_lines_are_looked_at_together_and_those_between_stay() {
    let filter = "[Definition]\nmaxlines = 5\nfailregex = ^open (?P<id>\\d+) by <HOST>$<SKIPLINES>^close (?P=id) refused$\n";
    let import = imported("[pair]\nenabled = true\n", &[("filter.d/pair.conf", filter)]);
    let lines = ["open 1 by 192.0.2.1", "open 2 by 192.0.2.2", "close 1 refused", "close 3 refused", "close 2 refused", "close 2 refused"];
    assert_eq!(told(&run(&mut only(&import), &lines)), ["-", "-", "192.0.2.1 -", "-", "192.0.2.2 -", "-"]);
}

#[test]
fn what_is_not_understood_is_named_by_file_section_expression_and_reason() {
    let filter = "[INCLUDES]\nbefore = gone.conf\n  ../../etc/passwd.conf\n[Definition]\nfailregex = ^fine <HOST>$\n  ^names nobody$\n  ^(open <HOST>$\n  \
        ^never %(missing)s\n";
    let import = imported("[odd]\nenabled = true\nbantime = soon\nodd line\n", &[("filter.d/odd.conf", filter)]);
    let all: Vec<String> = import.jails[0].problems.iter().chain(&import.problems).map(ToString::to_string).collect();
    for says in ["gone.conf", "passwd.conf", "`%(missing)s` is set nowhere", "jail odd [bantime] `soon`: no length of time", "`odd line`"] {
        assert!(all.iter().any(|line| line.contains(says)), "{says}: {all:#?}");
    }
    let filter = "[Definition]\nfailregex = ^fine <HOST>$\n  ^names nobody$\n  ^(open <HOST>$\n";
    let import = imported("[odd]\nenabled = true\n", &[("filter.d/odd.conf", filter)]);
    let told: Vec<String> = import.jails[0].problems.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("filter.d/odd.conf [failregex] `^names nobody$`: it names nobody"), "{told:?}");
    assert!(told[1].starts_with("filter.d/odd.conf [failregex] `^(open <HOST>$`: "), "{told:?}");
    assert!(import.jails[0].spec.is_some(), "the expression that is understood still runs");
}

#[test]
fn whoever_is_to_be_ignored_is_never_counted_for_want_of_understanding() {
    let filter = "[Definition]\nfailregex = ^bad <HOST>$\nignoreregex = ^bad (192\n";
    let import = imported("[odd]\nenabled = true\n", &[("filter.d/odd.conf", filter)]);
    assert!(import.jails[0].spec.is_none());
    assert!(import.jails[0].problems[0].to_string().contains("[ignoreregex]"));
}

#[test]
fn a_jail_that_lets_in_whoever_matches_keeps_nobody_out() {
    let import = imported("[gate]\nenabled = true\nblocktype = RETURN\n", &[]);
    assert!(import.jails[0].spec.is_none());
    assert!(import.jails[0].problems[0].to_string().contains("lets in whoever matches"), "{:?}", import.jails[0].problems);
}

#[test]
fn files_that_include_each_other_end() {
    let more = [
        ("filter.d/a.conf", "[INCLUDES]\nbefore = b.conf\n[Definition]\nfailregex = %(known/failregex)s\n ^a <HOST>$\n"),
        ("filter.d/b.conf", "[INCLUDES]\nbefore = a.conf\nafter = a.conf b.conf\n[Definition]\nfailregex = ^b <HOST>$\n"),
    ];
    let import = imported("[a]\nenabled = true\n", &more);
    assert_eq!(import.jails[0].spec.as_ref().unwrap().failregex, ["^b <HOST>$", "^a <HOST>$"]);
}

#[test]
fn references_to_nothing_that_multiply_end() {
    let mut filter = String::from("[Definition]\na0 =\nfailregex = %(a9)s^x <HOST>$\n");
    for level in 1..10 {
        filter.push_str(&format!("a{level} = {}\n", format!("%(a{})s", level - 1).repeat(50)));
    }
    let import = imported("[many]\nenabled = true\n", &[("filter.d/many.conf", &filter)]);
    assert!(import.jails[0].problems[0].to_string().contains("too many others"), "{:?}", import.jails[0].problems);
}
