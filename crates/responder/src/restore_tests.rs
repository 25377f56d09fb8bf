//! A file that decides who gets in, put back by a person on the real host: confirmed, not confirmed, crashed, emergency.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::tests::{Bench, by, now, on_bench, on_tree, order, person, until};
use super::*;
use bartizan_court::Warrant;
use bartizan_guard::file_backups::AccessCopies;
use bartizan_guard::watchdog::{EMERGENCY_SCRIPT, lasting_notes};
use bartizan_isolation::own_netns::killed_in_a_child;
use bartizan_model::{ActionKind, ActionState, Approver, HostText, Mode, Target};

/// A file of a kind that copies are kept of and that nothing on this host reads; gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    /// It was `good`, a copy is kept, and now it is `evil`.
    fn of(bench: &Bench, tag: &str) -> Self {
        let file = Self(PathBuf::from(format!("/etc/security/bartizan-test-{tag}-{}.conf", std::process::id())));
        file.write("good\n");
        AccessCopies::of(&bench.data()).keep(&file.text(), now()).unwrap();
        fs::remove_file(&file.0).unwrap();
        file.write("evil\n");
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o666)).unwrap();
        file
    }

    fn write(&self, content: &str) {
        fs::write(&self.0, content).unwrap();
    }

    fn text(&self) -> HostText {
        HostText::from(self.0.to_str().unwrap())
    }

    /// Content, inode, mode.
    fn state(&self) -> (String, u64, u32) {
        let found = fs::metadata(&self.0).unwrap();
        (fs::read_to_string(&self.0).unwrap(), found.ino(), found.mode() & 0o7777)
    }

    fn holds(&self, content: &str) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|text| text == content)
    }

    fn order(&self) -> Warrant {
        let target = Target::File { path: self.text(), copy: blake3::hash(b"good\n").to_hex().to_string() };
        order(ActionPlan::new(ActionKind::RestoreFile, target, Duration::from_secs(600)).unwrap())
    }

    /// Whether nothing of ours lies beside it.
    fn is_alone(&self) -> bool {
        let name = self.0.file_name().unwrap().to_str().unwrap();
        let beside = |entry: fs::DirEntry| entry.file_name().to_str().is_some_and(|other| other != name && other.contains(name));
        !fs::read_dir(self.0.parent().unwrap()).unwrap().flatten().any(beside)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Bench {
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A hand whose disruptive actions must be confirmed within this time.
    fn impatient(&self, confirm_within: Duration) -> Responder {
        let responder = self.responder();
        let mut policy = Policy::built_in().unwrap();
        policy.actions.confirm_within = confirm_within;
        responder.set_policy(&policy);
        responder
    }
}

fn clean(bench: &Bench) -> bool {
    lasting_notes(&bench.data()).is_empty() && {
        let left = fs::read_dir(bench.data().join("expiry")).into_iter().flatten().flatten();
        left.into_iter().all(|entry| entry.file_name().to_string_lossy().starts_with(".bartizan-expire"))
    }
}

fn can_write_etc() -> bool {
    let can = Path::new("/etc/security").is_dir() && fs::write("/etc/security/.bartizan-test", "").is_ok();
    let _ = fs::remove_file("/etc/security/.bartizan-test");
    if !can {
        eprintln!("skipped: /etc/security cannot be written to");
    }
    can
}

#[test]
fn unless_confirmed_the_former_file_comes_back_without_us() {
    on_bench(|bench| {
        if !can_write_etc() {
            return;
        }
        let file = Scratch::of(&bench, "unconfirmed");
        let before = file.state();
        let responder = bench.impatient(Duration::from_secs(2));
        let preview = responder.preview(file.order().plan()).unwrap();
        eprintln!("{}", preview.steps.join("\n"));
        assert!(preview.steps.contains(&"- evil".to_owned()) && preview.steps.contains(&"+ good".to_owned()), "{preview:?}");
        let done = responder.execute(file.order(), now()).unwrap();
        assert_eq!((done.state, done.awaits_confirmation().is_some()), (ActionState::Live, true), "{}", done.note);
        assert!(file.holds("good\n") && file.state().2 == 0o644);
        // Nobody of us does anything any more.
        std::mem::forget(responder);
        assert!(until(|| file.holds("evil\n")), "it did not come back");
        assert_eq!(file.state(), before, "the very same file");
        assert!(file.is_alone() && until(|| clean(&bench)));
        let responder = bench.responder();
        responder.recover(now() + chrono::Duration::seconds(3)).unwrap();
        assert_eq!(responder.active().unwrap(), vec![]);
    });
}

#[test]
fn once_confirmed_it_stays() {
    on_bench(|bench| {
        if !can_write_etc() {
            return;
        }
        let file = Scratch::of(&bench, "confirmed");
        let responder = bench.impatient(Duration::from_secs(60));
        let done = responder.execute(file.order(), now()).unwrap();
        let confirmed = responder.confirm(done.id, "root", now()).unwrap();
        assert_eq!(confirmed.state, ActionState::Live, "{}", confirmed.note);
        responder.reconcile(now() + chrono::Duration::seconds(1)).unwrap();
        assert_eq!(responder.active().unwrap(), vec![], "nothing is left to end");
        assert!(file.holds("good\n") && file.is_alone() && clean(&bench));
        // What was there before is a copy now, to be restored in its turn.
        let kept = AccessCopies::of(&bench.data()).list(Some(&file.text())).unwrap();
        assert!(kept.iter().any(|copy| copy.copy == blake3::hash(b"evil\n").to_hex().as_str() && copy.mode == 0o666), "{kept:?}");
    });
}

#[test]
fn nobody_restores_it_alone_and_a_person_can_take_it_back() {
    on_bench(|bench| {
        if !can_write_etc() {
            return;
        }
        let file = Scratch::of(&bench, "alone");
        let before = file.state();
        let responder = bench.impatient(Duration::from_secs(60));
        let alone = by(Approver::Mode(Mode::Aggressive), file.order().plan().clone());
        let refused = responder.execute(alone, now()).unwrap_err().to_string();
        assert!(refused.contains("only a person"), "{refused}");
        assert!(file.state() == before && file.is_alone() && clean(&bench));
        let done = responder.execute(file.order(), now()).unwrap();
        responder.rollback(done.id, "root", now()).unwrap();
        assert!(file.state() == before && file.is_alone() && clean(&bench));
        // There was none: its absence comes back.
        fs::remove_file(&file.0).unwrap();
        let done = responder.execute(file.order(), now()).unwrap();
        assert!(file.holds("good\n"));
        responder.rollback(done.id, "root", now()).unwrap();
        assert!(!file.0.exists() && clean(&bench));
    });
}

/// What each death leaves: the file as it was, until a person's word that it stays is on the disk.
#[test]
fn death_at_any_point_leaves_the_former_file_or_the_confirmed_one() {
    let restoring = ["after intent", "after apply", "before receipt"];
    let undoing = ["before undoing", "after undoing"];
    let confirming = ["before confirming", "before prolonging", "after prolonging"];
    for point in [restoring.as_slice(), &undoing, &confirming].concat() {
        on_bench(|bench| {
            if !can_write_etc() {
                return;
            }
            let file = Scratch::of(&bench, "killed");
            let before = file.state();
            let die = |at: &'static str| {
                let responder = bench.impatient(Duration::from_secs(60));
                *responder.die_at.lock().unwrap() = Some(at);
                responder
            };
            let restored = |responder: &Responder| responder.execute(file.order(), now()).unwrap().id;
            if restoring.contains(&point) {
                assert!(killed_in_a_child(|| drop(die(point).execute(file.order(), now()))), "{point}");
            } else {
                let id = restored(&bench.impatient(Duration::from_secs(60)));
                assert!(killed_in_a_child(|| match undoing.contains(&point) {
                    true => drop(die(point).rollback(id, "root", now())),
                    false => drop(die(point).confirm(id, "root", now())),
                }));
            }
            let responder = bench.impatient(Duration::from_secs(60));
            responder.recover(now()).unwrap();
            responder.reconcile(now() + chrono::Duration::seconds(1)).unwrap();
            for live in responder.active().unwrap() {
                assert!(file.holds("good\n") && live.state == ActionState::Live, "{point}: {}", live.note);
                responder.rollback(live.id, "root", now()).unwrap();
            }
            if ["before prolonging", "after prolonging"].contains(&point) {
                assert!(file.holds("good\n"), "{point}: a person's word");
            } else {
                assert_eq!(file.state(), before, "{point}: the very same file");
            }
            assert!(file.is_alone() && clean(&bench), "{point}: nothing of ours is left");
        });
    }
}

#[test]
fn an_end_that_came_while_it_was_confirmed_is_told_as_one() {
    on_bench(|bench| {
        if !can_write_etc() {
            return;
        }
        let file = Scratch::of(&bench, "overtaken");
        let before = file.state();
        let responder = bench.impatient(Duration::from_secs(2));
        let done = responder.execute(file.order(), now()).unwrap();
        drop(responder);
        assert!(killed_in_a_child(|| {
            let responder = bench.impatient(Duration::from_secs(2));
            *responder.die_at.lock().unwrap() = Some("before prolonging");
            let _ = responder.confirm(done.id, "root", now());
        }));
        assert!(until(|| file.holds("evil\n") && clean(&bench)), "its end outside of us did not come");
        let responder = bench.responder();
        responder.recover(now()).unwrap();
        assert_eq!((responder.active().unwrap(), file.state()), (vec![], before));
        let told = responder.ledger.action(done.id).unwrap().unwrap();
        assert!(told.note.contains("the former state is back"), "{}", told.note);
        assert!(bench.alarms().is_empty(), "nobody is blamed: {:?}", bench.alarms());
    });
}

/// Everything of ours that exists: a freeze, a file put back, by each way to stop it all.
fn full_of_actions(stop: impl Fn(&Bench, &Responder) -> String + Send + Sync) {
    on_bench(|bench| {
        if !can_write_etc() {
            return;
        }
        let file = Scratch::of(&bench, "full");
        let before = file.state();
        let responder = bench.impatient(Duration::from_secs(60));
        let out = bench.out();
        let child = super::tests::lively_tree(&out);
        let cgroup = fs::read(format!("/proc/{}/cgroup", child.id())).unwrap();
        responder.execute(on_tree(ActionKind::FreezeTree, &child), now()).unwrap();
        responder.execute(super::tests::block("198.51.100.8", bartizan_model::Direction::In, Duration::from_secs(60)), now()).unwrap();
        responder.execute(file.order(), now()).unwrap();
        assert!(file.holds("good\n"));
        let words = stop(&bench, &responder);
        assert_eq!(file.state(), before, "{words}");
        assert_eq!(super::tests::ruleset(), "", "{words}");
        assert_eq!(fs::read(format!("/proc/{}/cgroup", child.id())).unwrap(), cgroup, "{words}");
        assert!(file.is_alone() && clean(&bench), "{words}");
        let notes: Vec<_> = fs::read_dir(bench.dir.path().join("run/freeze")).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(notes.is_empty(), "{notes:?} {words}");
        drop(child);
    });
}

#[test]
fn the_emergency_stop_undoes_files_too() {
    full_of_actions(|_, responder| format!("{:?}", responder.emergency_stop(&person("root"), now())));
}

#[test]
fn a_sweep_without_an_agent_undoes_files_too() {
    full_of_actions(|bench, _| {
        fs::write(bench.dir.path().join("run/data"), format!("{}\n", bench.data().display())).unwrap();
        let report = sweep(&bench.dir.path().join("run"));
        assert!(report.failures.is_empty(), "{report:?}");
        fs::remove_file(bench.dir.path().join("run/data")).unwrap();
        format!("{report:?}")
    });
}

#[test]
fn the_emergency_script_undoes_files_too() {
    full_of_actions(|bench, _| {
        let mut script = Command::new("sh");
        script.args(["-c", EMERGENCY_SCRIPT, "bartizan-emergency"]).arg(bench.dir.path().join("run")).arg(bench.data());
        let said = script.output().unwrap();
        let words = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{words}");
        words
    });
}
