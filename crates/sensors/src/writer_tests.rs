//! Who wrote a start-up file, on the real kernel with the real process table: shells' builtins, redirections and subshells that ended.

use std::process::Command;
use std::sync::Arc;

use super::attribution::Attribution;
use super::persistence::Persistence;
use super::places::Places;
use super::test_bench::{Seen, Shell, about, at, beside, file, root, tree};
use super::{ProcessCache, Stop, process_collectors};
use bartizan_model::{Event, HostText, Rung};

/// Runs `test` beside the collector and eBPF, in a tree with the usual directories.
fn watched(test: impl FnOnce(&tempfile::TempDir, &Seen)) {
    if !root() {
        return;
    }
    let cache = Arc::new(ProcessCache::default());
    let roles = bartizan_config::Policy::built_in().unwrap().roles;
    let ladder = process_collectors(&roles, Some(Rung::Ebpf), Arc::clone(&cache), None);
    if !ladder.is_open() {
        eprintln!("skipped: eBPF is refused here: {:?}", ladder.blind_spots());
        return;
    }
    let root = tree(&["etc/cron.d", "home"]);
    let (stop, ignored) = (Stop::default(), Seen::default());
    std::thread::scope(|scope| {
        for mut collector in ladder.collectors() {
            let (stop, ignored) = (&stop, &ignored);
            scope.spawn(move || collector.run(ignored, stop).unwrap());
        }
        let mut prober = Shell::start(root.path());
        let persistence = Persistence::new(Places::under(root.path()), Attribution::from_cache(cache));
        let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            beside(persistence, || prober.run("echo probe > etc/cron.d/probe"), |seen| test(&root, seen));
        }));
        stop.set();
        end.unwrap();
    });
}

/// What the process that is blamed ran: its program and its last argument.
fn blamed(event: &Event) -> Option<(String, HostText)> {
    let process = event.process.as_ref()?;
    Some((process.exe.basename().into_owned(), process.argv.last().cloned().unwrap_or_default()))
}

#[test]
fn what_a_shell_writes_itself_is_told_as_the_shells_whatever_it_started_before() {
    watched(|root, seen| {
        let file_of = |number: usize| at(root, &format!("etc/cron.d/job{number}"));
        let ways: [(&str, &str); 12] = [
            ("bash", "echo x > F"),
            ("dash", "echo x > F"),
            ("bash", "/bin/true; echo x > F"),
            ("dash", "/bin/mkdir -p home/a; printf x > F; /bin/true"),
            ("dash", "(echo x > F)"),
            ("bash", "(echo x > F); /bin/true"),
            ("bash", "{ echo x; } > F"),
            ("bash", "exec 3> F; /bin/true; echo x >&3; exec 3>&-"),
            ("dash", "/bin/true | while read -r line; do :; done > F"),
            ("bash", "echo x > F & wait"),
            ("dash", "/bin/mkdir home/b; : > F"),
            ("python3", "import subprocess; subprocess.run(['/bin/true']); open('F', 'w').write('x')"),
        ];
        for (number, (shell, words)) in ways.into_iter().enumerate() {
            let path = file_of(number);
            let words = words.replace('F', path.to_str().unwrap());
            let done = Command::new(shell).args(["-c", &words]).current_dir(root.path()).status();
            assert!(done.unwrap().success(), "{shell}: {words}");
            let event = seen.wait(&words, |event| about(event, &path));
            let (program, said) = blamed(&event).unwrap_or_default();
            assert!(
                program.starts_with(shell) && said == *words && event.complete,
                "{shell}: {words}: {program} {said}, {}",
                event.complete
            );
        }
    });
}

#[test]
fn what_a_program_writes_where_its_shell_sent_it_is_both_of_theirs_and_nobody_elses() {
    watched(|root, seen| {
        let path = at(root, "etc/cron.d/sent");
        let words = format!("/bin/echo '* * * * * root x' > {}; /bin/true", path.display());
        assert!(Command::new("dash").args(["-c", &words]).status().unwrap().success());
        // The shell opens the file (dash by itself, others in a child), the program writes into it.
        let by = |event: &Event| blamed(event).map(|(program, _)| program).unwrap_or_default();
        seen.wait("the program's part", |event| about(event, &path) && by(event) == "echo");
        let others = seen.count(|event| about(event, &path) && !matches!(by(event).as_str(), "echo" | "dash"));
        assert_eq!(others, 0, "{:?}", seen.all().iter().map(by).collect::<Vec<_>>());
    });
}

#[test]
fn the_maker_of_a_new_directory_is_not_blamed_for_what_lies_in_it() {
    watched(|root, seen| {
        let keys = at(root, "home/ann/.ssh/authorized_keys");
        let words = "/bin/mkdir -p home/ann/.ssh; echo key > home/ann/.ssh/authorized_keys; /bin/true";
        assert!(Command::new("dash").args(["-c", words]).current_dir(root.path()).status().unwrap().success());
        let event = seen.wait("the key", |event| about(event, &keys));
        match blamed(&event) {
            Some((program, _)) => assert_eq!(program, "dash", "seen in time"),
            None => {
                let maker = file(&event).unwrap().directory_by.as_ref().map(|maker| maker.exe.basename().into_owned());
                assert_eq!((maker.as_deref(), event.complete), (Some("mkdir"), false));
            }
        }
    });
}
