//! The watcher of attributes against the running kernel.

use std::path::Path;
use std::process::Command;

use super::attributes::Attributes;
use super::test_bench::{Seen as Told, Shell, about, at, beside, file, root, tree};
use bartizan_model::{Event, FileChangeKind, FileClass, Source};

fn kind(event: &Event) -> Option<FileChangeKind> {
    file(event).map(|file| file.change)
}

fn wait(seen: &Told, path: &Path, change: FileChangeKind) -> Event {
    seen.wait(&format!("{change:?} of {}", path.display()), |event| about(event, path) && kind(event) == Some(change))
}

#[test]
fn who_gives_rights_to_a_file_is_told_by_whatever_name_and_call() {
    if !root() {
        return;
    }
    let root = tree(&["etc", "usr/bin", "home", "tmp"]);
    for file in ["usr/bin/tool", "home/tool", "usr/bin/old", "etc/settings", "tmp/free"] {
        std::fs::write(at(&root, file), "x").unwrap();
    }
    let mut shell = Shell::start(root.path());
    let mut number = 0;
    let probe = || {
        number += 1;
        std::fs::write(at(&root, &format!("tmp/probe{number}")), "x").unwrap();
        assert!(Command::new("chmod").arg("4755").arg(at(&root, &format!("tmp/probe{number}"))).status().unwrap().success());
    };
    // The shell's own pid does the deed: it becomes the program.
    let table = shell.table();
    beside(Attributes::new(root.path(), table), probe, |seen| {
        shell.run("chmod 755 usr/bin/tool; chmod 777 tmp/free; ln home/tool home/second; touch -d 2001-01-01 tmp/free");
        shell.run("chmod u+s usr/bin/tool");
        let told = wait(seen, &at(&root, "usr/bin/tool"), FileChangeKind::SetId);
        let change = file(&told).unwrap();
        assert_eq!(change.attributes.unwrap().mode, 0o4755);
        assert_eq!(change.class, Some(FileClass::System));

        // The same by a relative path with odd bytes, and once more: nothing new.
        shell.run("chmod g+xs ./home/../home/second");
        let path = at(&root, "home/second");
        let other = at(&root, "home/tool");
        seen.wait("the second name", |event| (about(event, &path) || about(event, &other)) && kind(event) == Some(FileChangeKind::SetId));
        seen.clear();
        shell.run("touch usr/bin/tool; chmod 4755 usr/bin/tool");
        shell.run("chmod 666 etc/settings");
        wait(seen, &at(&root, "etc/settings"), FileChangeKind::WorldWritable);
        assert_eq!(seen.count(|event| kind(event) == Some(FileChangeKind::SetId)), 0, "it always had it");
        assert_eq!(seen.count(|event| about(event, &at(&root, "tmp/free"))), 0, "nobody's business");

        shell.run("chown 65534 usr/bin/old");
        wait(seen, &at(&root, "usr/bin/old"), FileChangeKind::Attributes);
        shell.run("touch -d 2001-01-01 usr/bin/old");
        let told = wait(seen, &at(&root, "usr/bin/old"), FileChangeKind::Backdated);
        assert_eq!(file(&told).unwrap().attributes.unwrap().modified.timestamp() / 86_400, 11_323);
        if shell_has("setcap") {
            shell.run("cp /bin/true home/cap; setcap cap_net_raw+ep home/cap");
            let told = wait(seen, &at(&root, "home/cap"), FileChangeKind::Capabilities);
            assert_eq!(file(&told).unwrap().attributes.unwrap().capabilities, Some(1 << 13));
        }
        shell.exec("chmod 6755 home/second");
        let told = seen.wait("the shell itself", |event| {
            kind(event) == Some(FileChangeKind::SetId) && event.process.as_ref().is_some_and(|process| process.pid == shell.pid())
        });
        assert!(told.complete && told.source == Source::Fanotify);
    });
}

fn shell_has(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(std::process::Stdio::null()).status().unwrap().success()
}

#[test]
fn a_flood_of_ones_own_files_is_no_loss_and_hides_no_part_of_the_system() {
    if !root() {
        return;
    }
    let root = tree(&["etc", "usr/bin", "home", "tmp"]);
    std::fs::write(at(&root, "usr/bin/late"), "x").unwrap();
    for number in 0..6000 {
        let path = at(&root, &format!("home/f{number}"));
        std::fs::write(&path, "x").unwrap();
        std::os::unix::fs::chown(path, Some(54321), None).unwrap();
    }
    let mut shell = Shell::start(root.path());
    let mut number = 0;
    let probe = || {
        number += 1;
        std::fs::write(at(&root, &format!("tmp/probe{number}")), "x").unwrap();
        assert!(Command::new("chmod").arg("4755").arg(at(&root, &format!("tmp/probe{number}"))).status().unwrap().success());
    };
    let table = shell.table();
    beside(Attributes::new(root.path(), table), probe, |seen| {
        seen.clear();
        shell.run("chmod -R 4755 home; chmod 4755 usr/bin/late");
        wait(seen, &at(&root, "usr/bin/late"), FileChangeKind::SetId);
        assert!(seen.count(|event| kind(event) == Some(FileChangeKind::SetId)) < 6000, "some were left out");
        assert_eq!(seen.count(|event| matches!(event.kind, bartizan_model::EventKind::Loss { .. })), 0);
    });
}
