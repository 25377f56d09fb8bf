//! The start-up places on the real kernel: a shell changes a tree, the collector says what, how and by whom.

use super::persistence::Persistence;
use super::places::Places;
use super::test_bench::{Seen, Shell, about, at, beside, file, hash, root, tree};
use bartizan_model::{FileChangeKind, PersistenceKind, Source};

/// A tree with the usual directories, watched, with a shell in it.
fn watched(test: impl FnOnce(&tempfile::TempDir, &mut Shell, &Seen)) {
    let root = tree(&["etc/cron.d", "etc/systemd/system", "home/ann", "var/spool"]);
    std::fs::write(at(&root, "etc/crontab"), "# old\n").unwrap();
    let mut shell = Shell::start(root.path());
    let collector = Persistence::new(Places::under(root.path()), shell.table());
    let mut prober = Shell::start(root.path());
    beside(collector, || prober.run("echo probe > etc/cron.d/probe"), |seen| test(&root, &mut shell, seen));
}

#[test]
fn who_wrote_what_is_told_with_hashes() {
    if !root() {
        return;
    }
    watched(|root, shell, seen| {
        shell.run("echo '* * * * * root x' > etc/cron.d/job");
        let made = seen.wait("the job", |event| about(event, &at(root, "etc/cron.d/job")));
        let file_of = |event: &bartizan_model::Event| file(event).unwrap().clone();
        let change = file_of(&made);
        assert_eq!((change.change, change.persistence), (FileChangeKind::Created, Some(PersistenceKind::Cron)));
        assert_eq!((change.before, change.after), (None, hash("* * * * * root x\n")));
        assert_eq!(
            (made.process.as_ref().map(|process| process.pid), made.complete, made.source),
            (Some(shell.pid()), true, Source::Fanotify)
        );

        shell.run("echo new >> etc/crontab");
        let changed = file_of(&seen.wait("the change", |event| about(event, &at(root, "etc/crontab"))));
        assert_eq!((changed.change, changed.before, changed.after), (FileChangeKind::Modified, hash("# old\n"), hash("# old\nnew\n")));

        shell.run("echo /tmp/x.so > etc/ld.so.preload");
        let preload = file_of(&seen.wait("ld.so.preload", |event| about(event, &at(root, "etc/ld.so.preload"))));
        assert_eq!((preload.change, preload.persistence), (FileChangeKind::Created, Some(PersistenceKind::LdPreload)));
    });
}

#[test]
fn rewriting_replacing_removing_and_chmod_are_told_apart() {
    if !root() {
        return;
    }
    watched(|root, shell, seen| {
        let crontab = at(root, "etc/crontab");
        let expect = |shell: &mut Shell, command: &str, change: FileChangeKind| {
            seen.clear();
            shell.run(command);
            let event = seen.wait(command, |event| about(event, &crontab));
            assert_eq!(file(&event).unwrap().change, change, "{command}");
            file(&event).unwrap().clone()
        };
        let same = expect(shell, "echo '# old' > etc/crontab", FileChangeKind::Modified);
        assert_eq!((&same.before, &same.after), (&hash("# old\n"), &hash("# old\n")), "a rewrite is a deed, with equal hashes");
        expect(shell, "chmod 666 etc/crontab", FileChangeKind::Attributes);
        let replaced = expect(shell, "echo y > etc/other; mv etc/other etc/crontab", FileChangeKind::Renamed);
        assert_eq!(replaced.after, hash("y\n"));
        let gone = expect(shell, "rm etc/crontab", FileChangeKind::Deleted);
        assert_eq!((gone.before, gone.after), (hash("y\n"), None));
        seen.clear();
        shell.run("echo z > etc/hosts; cat etc/cron.d/probe > /dev/null");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(seen.all(), [], "no place, no event");
    });
}

#[test]
fn places_made_later_are_watched_from_their_making() {
    if !root() {
        return;
    }
    watched(|root, shell, seen| {
        // Made and filled in one go, faster than anybody can begin to watch.
        shell.run("mkdir home/ann/.ssh; echo key > home/ann/.ssh/authorized_keys");
        let keys = at(root, "home/ann/.ssh/authorized_keys");
        let key = seen.wait("the key", |event| about(event, &keys));
        assert_eq!((file(&key).unwrap().change, file(&key).unwrap().after.clone()), (FileChangeKind::Created, hash("key\n")));
        // The shell wrote it and mkdir made its directory: whoever is named is the shell.
        let named = key.process.map(|process| process.pid);
        assert!(named.is_none_or(|pid| pid == shell.pid()), "{named:?} is blamed, the shell is {}", shell.pid());
        seen.clear();
        std::thread::sleep(std::time::Duration::from_millis(300));
        shell.run("echo more >> home/ann/.ssh/authorized_keys");
        let more = seen.wait("the second key", |event| about(event, &keys));
        assert_eq!((more.process.map(|process| process.pid), more.complete), (Some(shell.pid()), true));

        shell.run("mkdir -p var/spool/cron/crontabs etc/systemd/system/a.service.d home/bob/.ssh");
        std::thread::sleep(std::time::Duration::from_millis(600));
        for path in
            ["var/spool/cron/crontabs/root", "etc/systemd/system/a.service.d/x.conf", "home/bob/.ssh/authorized_keys", "home/bob/.bashrc"]
        {
            shell.run(&format!("echo x > {path}"));
            let made = seen.wait(path, |event| about(event, &at(root, path)));
            assert_eq!(made.process.map(|process| process.pid), Some(shell.pid()), "{path}");
        }
    });
}

#[test]
fn a_pid_used_again_is_never_blamed() {
    if !root() {
        return;
    }
    let root = tree(&["etc/cron.d"]);
    let mut shell = Shell::start(root.path());
    let mut wrong = (*shell.process()).clone();
    wrong.key.start -= 1;
    let wrong = std::sync::Arc::new(wrong);
    let table = super::Attribution::by(move |_| Some(std::sync::Arc::clone(&wrong)));
    let mut prober = Shell::start(root.path());
    beside(
        Persistence::new(Places::under(root.path()), table),
        || prober.run("echo probe > etc/cron.d/probe"),
        |seen| {
            shell.run("echo x > etc/cron.d/job");
            let made = seen.wait("the job", |event| about(event, &at(&root, "etc/cron.d/job")));
            assert_eq!((made.process, made.complete), (None, false));
        },
    );
}

#[test]
fn changes_made_while_nobody_watched_are_told_at_the_next_start() {
    if !root() {
        return;
    }
    let (root, data) = (tree(&["etc/cron.d"]), tree(&[]));
    std::fs::write(at(&root, "etc/crontab"), "a").unwrap();
    std::fs::write(at(&root, "etc/cron.d/gone"), "a").unwrap();
    std::fs::write(at(&root, "etc/cron.d/same"), "a").unwrap();
    let mut shell = Shell::start(root.path());
    let collector = || Persistence::new(Places::under(root.path()).remembering(data.path()), shell.table());
    let (first, second) = (collector(), collector());
    let mut prober = Shell::start(root.path());
    beside(first, || prober.run("echo probe > etc/cron.d/probe"), |_| {});
    shell.run("echo b > etc/crontab; rm etc/cron.d/gone; echo c > etc/cron.d/new; rm etc/cron.d/probe");
    let (seen, stop) = (Seen::default(), super::Stop::default());
    stop.set();
    let mut second = second;
    super::Collector::run(&mut second, &seen, &stop).unwrap();
    let mut told: Vec<_> = seen
        .all()
        .iter()
        .map(|event| {
            (file(event).unwrap().path.basename().into_owned(), file(event).unwrap().change, event.process.is_some(), event.complete)
        })
        .collect();
    told.sort_by(|one, two| one.0.cmp(&two.0));
    use FileChangeKind::{Created, Deleted, Modified};
    let expected = [("crontab", Modified), ("gone", Deleted), ("new", Created), ("probe", Deleted)];
    assert_eq!(told, expected.map(|(name, change)| (name.to_owned(), change, false, false)));
}

#[test]
fn an_overflow_is_told_and_nothing_is_missed() {
    if !root() {
        return;
    }
    watched(|root, shell, seen| {
        // More files than the kernel's queue holds (fs.fanotify.max_queued_events, 16,384 by default), by a process
        // that is faster than any reader; should the reader keep up all the same, there is nothing to mend.
        shell.run("i=0; while [ $i -lt 30000 ]; do : > etc/cron.d/f$i; i=$((i+1)); done");
        let begun = std::time::Instant::now();
        let made = |event: &bartizan_model::Event| {
            file(event).is_some_and(|file| file.change == FileChangeKind::Created && file.path.basename().starts_with('f'))
        };
        while seen.count(made) < 30_000 && begun.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert_eq!(seen.count(made), 30_000);
        shell.run("echo last > etc/cron.d/last");
        seen.wait("the last file", |event| about(event, &at(root, "etc/cron.d/last")));
        eprintln!("persistence: 30,000 files made at once, {} overflows", seen.lost.lock().unwrap());
    });
}

#[test]
fn the_rung_below_sees_the_same_without_the_process() {
    let root = tree(&["etc/cron.d", "home/ann"]);
    let mut shell = Shell::start(root.path());
    let collector = Persistence::new(Places::under(root.path()), shell.table()).without_fanotify();
    let mut prober = Shell::start(root.path());
    beside(
        collector,
        || prober.run("echo probe > etc/cron.d/probe"),
        |seen| {
            shell.run("echo x > etc/cron.d/job; mkdir home/ann/.ssh; echo key > home/ann/.ssh/authorized_keys");
            for path in ["etc/cron.d/job", "home/ann/.ssh/authorized_keys"] {
                let made = seen.wait(path, |event| about(event, &at(&root, path)));
                assert_eq!((made.process, made.complete, made.source), (None, false, Source::Inotify), "{path}");
            }
        },
    );
}

#[test]
fn the_rung_below_finds_what_an_overflow_hid() {
    let root = tree(&["etc/cron.d"]);
    let mut shell = Shell::start(root.path());
    let collector = Persistence::new(Places::under(root.path()), shell.table()).without_fanotify();
    let mut prober = Shell::start(root.path());
    beside(
        collector,
        || prober.run("echo probe > etc/cron.d/probe"),
        |seen| {
            shell.run("i=0; while [ $i -lt 20000 ]; do echo $i > etc/cron.d/f$i; i=$((i+1)); done");
            let begun = std::time::Instant::now();
            let made = |event: &bartizan_model::Event| {
                file(event).is_some_and(|file| file.change == FileChangeKind::Created && file.path.basename().starts_with('f'))
            };
            while seen.count(made) < 20_000 && begun.elapsed().as_secs() < 20 {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            assert_eq!(seen.count(made), 20_000);
            eprintln!("inotify: 20,000 files made at once, {} overflows", seen.lost.lock().unwrap());
        },
    );
}
