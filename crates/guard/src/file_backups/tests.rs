//! Copies of real files in a made-up /etc and home: kept, bounded, put back, and no link followed.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::versions::{MAX_BYTES, MAX_RESTORED, MAX_VERSIONS};
use super::*;

struct Bench {
    dir: tempfile::TempDir,
    copies: AccessCopies,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        for below in ["etc/ssh/sshd_config.d", "etc/sudoers.d", "etc/pam.d", "home/ann/.ssh"] {
            fs::create_dir_all(dir.path().join(below)).unwrap();
        }
        let me = nix::unistd::geteuid();
        let home = dir.path().join("home/ann");
        let passwd = format!("ann:x:{me}:{me}::{}:/bin/sh\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\nodd line\n", home.display());
        fs::write(etc.join("passwd"), passwd).unwrap();
        let copies = AccessCopies { dir: dir.path().join("data/copies"), etc, seen: BTreeMap::new() };
        Self { dir, copies }
    }

    fn at(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn write(&self, below: &str, content: &str) -> HostText {
        fs::write(self.at(below), content).unwrap();
        text(&self.at(below))
    }

    fn names(&self, below: &str) -> BTreeSet<String> {
        fs::read_dir(self.at(below)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn now() -> Timestamp {
    chrono::Utc::now()
}

fn hash(content: &str) -> String {
    blake3::hash(content.as_bytes()).to_hex().to_string()
}

#[test]
fn every_change_is_a_new_version_and_nothing_else_is() {
    let mut bench = Bench::new();
    let keys = bench.write("home/ann/.ssh/authorized_keys", "ssh-ed25519 A\n");
    let drop_in = bench.write("etc/ssh/sshd_config.d/10.conf", "Port 22\n");
    let first = bench.copies.look(now());
    assert_eq!((first.kept.len(), first.troubles.len()), (2, 0), "{first:?}");
    assert_eq!(bench.copies.look(now()), Taken::default(), "nothing changed");
    bench.write("home/ann/.ssh/authorized_keys", "ssh-ed25519 EVIL\n");
    assert_eq!(bench.copies.look(now()).kept, std::slice::from_ref(&keys));
    fs::set_permissions(bench.at("home/ann/.ssh/authorized_keys"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(bench.copies.look(now()).kept, std::slice::from_ref(&keys), "who may write to it is part of it");
    fs::remove_file(bench.at("home/ann/.ssh/authorized_keys")).unwrap();
    assert_eq!(bench.copies.look(now()), Taken::default(), "a removed file leaves its versions");

    // Another life of the agent knows them all, newest first.
    let again = AccessCopies { seen: BTreeMap::new(), dir: bench.copies.dir.clone(), etc: bench.copies.etc.clone() };
    let listed: Vec<(String, u32, bool)> = again.list(Some(&keys)).unwrap().into_iter().map(|c| (c.copy, c.mode, c.differs)).collect();
    let evil = hash("ssh-ed25519 EVIL\n");
    assert_eq!(listed[1..], [(evil.clone(), 0o644, true), (hash("ssh-ed25519 A\n"), 0o644, true)]);
    assert_eq!((listed[0].1, listed[0].2), (0o666, true));
    assert_ne!(listed[0].0, evil, "the same content with another mode is another version, and can be named");
    assert_eq!(again.version(&keys, &listed[0].0).unwrap().mode, 0o666);
    assert_eq!(again.version(&keys, &evil).unwrap().mode, 0o644);
    assert!(!again.list(Some(&drop_in)).unwrap()[0].differs);
    assert_eq!(again.list(None).unwrap().len(), 4);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&again.dir), mode(&again.file_of(&drop_in, &hash("Port 22\n")))), (0o700, 0o600));
}

#[test]
fn an_account_cannot_lead_us_to_a_file_that_is_not_its_own() {
    let mut bench = Bench::new();
    bench.write("secret", "root:hash\n");
    symlink(bench.at("secret"), bench.at("home/ann/.ssh/authorized_keys")).unwrap();
    let taken = bench.copies.look(now());
    assert!(taken.kept.is_empty() && taken.troubles[0].contains("symbolic link"), "{taken:?}");
    // The directory itself led elsewhere.
    fs::rename(bench.at("home/ann/.ssh"), bench.at("home/ann/away")).unwrap();
    fs::create_dir(bench.at("elsewhere")).unwrap();
    bench.write("elsewhere/authorized_keys", "theirs\n");
    symlink(bench.at("elsewhere"), bench.at("home/ann/.ssh")).unwrap();
    assert!(bench.copies.look(now()).kept.is_empty());
    fs::remove_file(bench.at("home/ann/.ssh")).unwrap();
    fs::rename(bench.at("home/ann/away"), bench.at("home/ann/.ssh")).unwrap();
    fs::remove_file(bench.at("home/ann/.ssh/authorized_keys")).unwrap();
    // A pipe, and a file that is too large.
    nix::unistd::mkfifo(&bench.at("home/ann/.ssh/rc"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    File::create(bench.at("home/ann/.ssh/authorized_keys2")).unwrap().set_len(present::LONGEST + 1).unwrap();
    let taken = bench.copies.look(now());
    assert!(taken.kept.is_empty() && taken.troubles.len() == 2, "{taken:?}");
    for path in ["/etc/shadow", "/etc/pam.d/../shadow", "/root/.bashrc", ""] {
        assert!(matches!(bench.copies.present(&HostText::from(path)), Err(AccessError::NoPlace(_))), "{path}");
    }
}

#[test]
fn a_file_is_put_back_whole_and_the_former_one_comes_back_as_the_same_inode() {
    let mut bench = Bench::new();
    let path = bench.write("etc/sudoers.d/ann", "ann ALL=(ALL) ALL\n");
    fs::set_permissions(bench.at("etc/sudoers.d/ann"), fs::Permissions::from_mode(0o440)).unwrap();
    bench.copies.look(now());
    fs::remove_file(bench.at("etc/sudoers.d/ann")).unwrap();
    bench.write("etc/sudoers.d/ann", "ann ALL=(ALL) NOPASSWD: ALL\n");
    let before = fs::metadata(bench.at("etc/sudoers.d/ann")).unwrap();
    let good = bench.copies.version(&path, &hash("ann ALL=(ALL) ALL\n")).unwrap();
    let (_, _, former) = bench.copies.where_is(&path, "A1").unwrap();
    let put = |bench: &Bench| bench.copies.put(&path, &good, Some(&former)).unwrap();
    put(&bench);
    let after = fs::metadata(bench.at("etc/sudoers.d/ann")).unwrap();
    assert_eq!((after.mode() & 0o7777, fs::read_to_string(bench.at("etc/sudoers.d/ann")).unwrap()), (0o440, "ann ALL=(ALL) ALL\n".into()));
    assert!(bench.copies.look(now()).troubles.is_empty() && bench.copies.list(None).unwrap().len() == 1, "ours beside it is no file");
    assert_eq!(bench.copies.undo(&path, Some(&former), &good.hash).unwrap(), Undone::Back);
    let back = fs::metadata(bench.at("etc/sudoers.d/ann")).unwrap();
    assert_eq!((back.ino(), back.mode(), back.mtime_nsec()), (before.ino(), before.mode(), before.mtime_nsec()));
    assert_eq!(bench.copies.undo(&path, Some(&former), &good.hash).unwrap(), Undone::Nothing, "twice does no harm");
    assert_eq!(bench.names("etc/sudoers.d"), ["ann".to_owned()].into());

    // What somebody wrote since is theirs.
    put(&bench);
    bench.write("etc/sudoers.d/ann", "mended by hand\n");
    assert_eq!(bench.copies.undo(&path, Some(&former), &good.hash).unwrap(), Undone::LeftAlone);
    assert_eq!(fs::read_to_string(bench.at("etc/sudoers.d/ann")).unwrap(), "mended by hand\n");
    // There was none.
    fs::remove_file(bench.at("etc/sudoers.d/ann")).unwrap();
    bench.copies.put(&path, &good, None).unwrap();
    assert_eq!(bench.copies.undo(&path, None, &good.hash).unwrap(), Undone::Absent);
    assert_eq!(bench.names("etc/sudoers.d"), BTreeSet::new());
}

/// Killed at each step of putting a copy in place, with another content and with another mode alone: the file is what it was, by
/// either who undoes it, and nothing of ours is left beside it.
#[test]
fn a_copy_that_was_put_half_way_is_undone_without_a_trace() {
    for (now_is, steps) in ["good\n", "evil\n"].into_iter().flat_map(|now_is| (0..3).map(move |steps| (now_is, steps))) {
        for by_script in [false, true] {
            let mut bench = Bench::new();
            let path = bench.write("etc/pam.d/su", "good\n");
            bench.copies.look(now());
            fs::remove_file(bench.at("etc/pam.d/su")).unwrap();
            bench.write("etc/pam.d/su", now_is);
            fs::set_permissions(bench.at("etc/pam.d/su"), fs::Permissions::from_mode(0o666)).unwrap();
            let before = fs::metadata(bench.at("etc/pam.d/su")).unwrap();
            let good = bench.copies.version(&path, &hash("good\n")).unwrap();
            let (real, name, former) = bench.copies.where_is(&path, "A1").unwrap();
            let place = bench.copies.place(&path).unwrap();
            present::prepare(&place, &good, &|_| Ok(())).unwrap();
            if steps > 0 {
                fs::hard_link(bench.at("etc/pam.d/su"), real.join(&former)).unwrap();
            }
            if steps > 1 {
                fs::rename(real.join(present::waiting_name(&place)), bench.at("etc/pam.d/su")).unwrap();
            }
            if by_script {
                script_undoes(&bench, [real.as_os_str(), &name, &former, bench.copies.file_of(&path, &good.hash).as_os_str()]);
            } else {
                let undone = bench.copies.undo(&path, Some(&former), &good.hash).unwrap();
                assert_eq!(undone, if steps > 1 { Undone::Back } else { Undone::Nothing }, "{now_is:?} after {steps} steps");
            }
            let after = fs::metadata(bench.at("etc/pam.d/su")).unwrap();
            let found = (after.ino(), after.mode(), fs::read_to_string(bench.at("etc/pam.d/su")).unwrap());
            assert_eq!(found, (before.ino(), before.mode(), now_is.to_owned()), "after {steps} steps, by script: {by_script}");
            assert_eq!(bench.names("etc/pam.d"), ["su".to_owned()].into(), "{now_is:?} after {steps} steps, by script: {by_script}");
        }
    }
}

/// Undoes by the script what a note with these lines tells of.
fn script_undoes(bench: &Bench, lines: [&OsStr; 4]) {
    use crate::watchdog::EXPIRE_SCRIPT;
    let note = bench.at("note");
    let lines: Vec<&str> = lines.into_iter().map(|line| line.to_str().unwrap()).collect();
    fs::write(&note, format!("file\n{}\n", lines.join("\n"))).unwrap();
    let mut script = std::process::Command::new("sh");
    let status = script.args(["-c", EXPIRE_SCRIPT, "bartizan-expire", "0"]).arg(&note).stdout(std::process::Stdio::null()).status();
    assert!(status.unwrap().success() && !note.exists());
}

#[test]
fn the_script_undoes_as_we_do() {
    let mut bench = Bench::new();
    let path = bench.write("etc/pam.d/su", "good\n");
    bench.copies.look(now());
    let good = bench.copies.version(&path, &hash("good\n")).unwrap();
    let (real, name, former) = bench.copies.where_is(&path, "A1").unwrap();
    let undo = |former: &str| {
        script_undoes(&bench, [real.as_os_str(), &name, OsStr::new(former), bench.copies.file_of(&path, &good.hash).as_os_str()]);
        fs::read_to_string(bench.at("etc/pam.d/su")).ok()
    };
    bench.write("etc/pam.d/su", "evil\n");
    let inode = fs::metadata(bench.at("etc/pam.d/su")).unwrap().ino();
    bench.copies.put(&path, &good, Some(&former)).unwrap();
    let former = former.to_str().unwrap();
    assert_eq!(undo(former).unwrap(), "evil\n");
    assert_eq!(fs::metadata(bench.at("etc/pam.d/su")).unwrap().ino(), inode);
    assert_eq!(undo(former).unwrap(), "evil\n", "twice does no harm");
    bench.copies.put(&path, &good, Some(OsStr::new(former))).unwrap();
    bench.write("etc/pam.d/su", "mended\n");
    assert_eq!(undo(former).unwrap(), "mended\n");
    fs::remove_file(bench.at("etc/pam.d/su")).unwrap();
    bench.copies.put(&path, &good, None).unwrap();
    // The directory was made to lead elsewhere: nothing there is touched.
    fs::rename(bench.at("etc/pam.d"), bench.at("etc/away")).unwrap();
    fs::create_dir(bench.at("etc/other")).unwrap();
    bench.write("etc/other/su", "good\n");
    symlink(bench.at("etc/other"), bench.at("etc/pam.d")).unwrap();
    assert_eq!(undo("-").unwrap(), "good\n");
    fs::remove_file(bench.at("etc/pam.d")).unwrap();
    fs::rename(bench.at("etc/away"), bench.at("etc/pam.d")).unwrap();
    assert_eq!(undo("-"), None);
    assert_eq!(bench.names("etc/pam.d"), BTreeSet::new());
}

#[test]
fn a_configuration_that_sshd_refuses_is_not_put_in_place() {
    if !Path::new("/usr/sbin/sshd").exists() {
        eprintln!("skipped: no sshd here");
        return;
    }
    let mut bench = Bench::new();
    let path = bench.write("etc/ssh/sshd_config", "NoSuchWord yes\n");
    bench.copies.look(now());
    bench.write("etc/ssh/sshd_config", "Port 22\n");
    let bad = bench.copies.version(&path, &hash("NoSuchWord yes\n")).unwrap();
    let put = bench.copies.put(&path, &bad, None);
    let could_ask = std::process::Command::new("/usr/sbin/sshd").args(["-t", "-f", "/dev/null"]).status().unwrap().success();
    if !could_ask {
        eprintln!("skipped: sshd here refuses even an empty file (no host keys?)");
        return;
    }
    assert!(put.unwrap_err().to_string().contains("does not take this copy"));
    assert_eq!(fs::read_to_string(bench.at("etc/ssh/sshd_config")).unwrap(), "Port 22\n");
    assert_eq!(bench.names("etc/ssh"), ["sshd_config".to_owned(), "sshd_config.d".to_owned()].into());
}

#[test]
fn versions_are_bounded_and_the_first_one_stays() {
    let version = |path: &str, n: u64, bytes| {
        let mut present = Present::new(Vec::new(), (0o600, 0, 0), Vec::new(), 0);
        present.hash = format!("{n:064x}");
        let origin = if path == "restored" { Origin::Replaced } else { Origin::Watched };
        let mut version = Version::new(path.into(), &present, now(), origin, std::iter::empty());
        version.bytes = bytes;
        version
    };
    let mut versions: Vec<Version> = (0..100).map(|n| version("a", n, 1)).chain([version("b", 7, 1)]).collect();
    prune(&mut versions, &|_| false);
    let kept: Vec<&str> = versions.iter().filter(|v| v.path == *"a").map(|v| v.copy.as_str()).collect();
    assert_eq!(kept.len(), MAX_VERSIONS);
    assert_eq!((kept[0], kept[MAX_VERSIONS - 1]), (format!("{:064x}", 0).as_str(), format!("{:064x}", 99).as_str()));
    assert_eq!(versions.len(), MAX_VERSIONS + 1);
    let mut large: Vec<Version> = (0..10).map(|n| version("a", n, MAX_BYTES / 4)).collect();
    prune(&mut large, &|_| false);
    assert_eq!(large.iter().map(|v| v.copy.ends_with('0') || v.copy.ends_with('9')).filter(|end| *end).count(), 2);
    assert!(large.iter().map(|v| v.bytes).sum::<u64>() <= MAX_BYTES);
    // What restorations left is bounded by itself, and takes no room from what controls access.
    let mut mixed: Vec<Version> = (0..5000).map(|n| version("restored", n, 1)).chain([version("a", 1, 1), version("b", 1, 1)]).collect();
    prune(&mut mixed, &|_| false);
    assert_eq!((mixed.len(), mixed[0].copy.as_str()), (MAX_RESTORED + 2, format!("{:064x}", 5000 - MAX_RESTORED).as_str()));
}

/// A file that the baseline knows, put in place although nobody keeps copies of it.
#[test]
fn what_the_baseline_knows_is_put_back_whole_and_no_stranger_leads_us_elsewhere() {
    let bench = Bench::new();
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: not root");
    }
    fs::create_dir_all(bench.at("srv/www")).unwrap();
    let path = bench.write("srv/www/index.php", "good\n");
    let was =
        Present::new(b"good\n".to_vec(), (0o640, 33, 33), vec![("user.mark".to_owned(), b"here".to_vec())], 1_234_567_890_123_456_789);
    assert!(matches!(bench.copies.place(&path), Err(AccessError::NoPlace(_))), "nothing is known of it");
    bench.write("srv/www/index.php", "evil\n");
    let copy = bench.copies.keep_baseline(&path, &was, now()).unwrap();
    assert!(!bench.copies.keep(&path, now()).unwrap(), "what is replaced is kept already");
    let (_, _, former) = bench.copies.where_is(&path, "A1").unwrap();
    let evil = fs::metadata(bench.at("srv/www/index.php")).unwrap();
    bench.copies.put(&path, &bench.copies.version(&path, &copy).unwrap(), Some(&former)).unwrap();
    let found = fs::metadata(bench.at("srv/www/index.php")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o640, 33, 33));
    assert_eq!((found.mtime(), found.mtime_nsec()), (1_234_567_890, 123_456_789));
    let now_is = bench.copies.present(&path).unwrap().unwrap();
    assert!(now_is.is_like(&was), "{now_is:?}");
    assert!(matches!(bench.copies.keep_baseline(&path, &was, now()), Err(AccessError::Same(_))));
    assert_eq!(bench.copies.undo(&path, Some(&former), &copy).unwrap(), Undone::Back);
    assert_eq!(fs::metadata(bench.at("srv/www/index.php")).unwrap().ino(), evil.ino());

    let said = |why: AccessError| why.to_string();
    let again = || bench.copies.keep_baseline(&path, &was, now()).map_err(said).unwrap_err();
    let put = || bench.copies.put(&path, &was, None).map_err(said).unwrap_err();
    // A directory on the way becomes a link, or a stranger's, or one that everybody writes to.
    fs::create_dir(bench.at("elsewhere")).unwrap();
    bench.write("elsewhere/index.php", "mine\n");
    fs::rename(bench.at("srv/www"), bench.at("srv/moved")).unwrap();
    symlink(bench.at("elsewhere"), bench.at("srv/www")).unwrap();
    assert!(again().contains("/srv/www is a symbolic link or no directory: not followed"), "{}", again());
    assert!(put().contains("not followed"));
    fs::remove_file(bench.at("srv/www")).unwrap();
    fs::rename(bench.at("srv/moved"), bench.at("srv/www")).unwrap();
    std::os::unix::fs::chown(bench.at("srv"), Some(1234), None).unwrap();
    assert!(again().contains("/srv belongs to uid 1234, who could lead us elsewhere"), "{}", again());
    assert!(put().contains("belongs to uid 1234"));
    std::os::unix::fs::chown(bench.at("srv"), Some(33), None).unwrap();
    bench.copies.keep_baseline(&path, &was, now()).unwrap();
    fs::set_permissions(bench.at("srv"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(again().contains("others may write to "), "{}", again());
    fs::set_permissions(bench.at("srv"), fs::Permissions::from_mode(0o755)).unwrap();
    // The file becomes a link, or a second name of somebody else's.
    fs::remove_file(bench.at("srv/www/index.php")).unwrap();
    symlink(bench.at("elsewhere/index.php"), bench.at("srv/www/index.php")).unwrap();
    assert!(again().contains("symbolic link"), "{}", again());
    fs::remove_file(bench.at("srv/www/index.php")).unwrap();
    fs::hard_link(bench.at("elsewhere/index.php"), bench.at("srv/www/index.php")).unwrap();
    assert!(again().contains("it is a hard link to a file of uid 0"), "{}", again());
    fs::remove_file(bench.at("srv/www/index.php")).unwrap();
    fs::write(bench.at("srv/www/index.php"), vec![b'x'; (LONGEST + 1) as usize]).unwrap();
    assert!(again().contains("it is larger than 1 MiB, and what is replaced must be kept: move it aside first"), "{}", again());
    assert_eq!(fs::read_to_string(bench.at("elsewhere/index.php")).unwrap(), "mine\n");
}

/// Long files of the baseline, all changed: what each restoration needs, it has, or it is refused before anything changes.
#[test]
fn a_restoration_of_many_large_files_keeps_all_it_needs_or_is_refused() {
    let bench = Bench::new();
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: not root");
    }
    fs::create_dir_all(bench.at("srv")).unwrap();
    let large = |number: usize, byte: u8| {
        let mut content = vec![byte; LONGEST as usize];
        content[..8].copy_from_slice(&(number as u64).to_le_bytes());
        content
    };
    let files: Vec<(HostText, Present)> = (0..65)
        .map(|number| {
            fs::write(bench.at(&format!("srv/{number}")), large(number, b'x')).unwrap();
            (text(&bench.at(&format!("srv/{number}"))), Present::new(large(number, b'g'), (0o644, 0, 0), Vec::new(), 0))
        })
        .collect();
    let plan = |(path, was): &(HostText, Present)| bench.copies.keep_baseline(path, was, now());
    let copies: Vec<String> = files[..64].iter().map(|file| plan(file).unwrap()).collect();
    for ((path, was), copy) in files.iter().zip(&copies) {
        assert!(bench.copies.version(path, copy).unwrap().is_like(was), "{path}");
        assert!(!bench.copies.keep(path, now()).unwrap(), "what is replaced is kept already");
    }
    let (last, first) = (&files[64], &files[0].0);
    let before = bench.copies.list(None).unwrap();
    assert!(plan(last).unwrap_err().to_string().contains("confirm or roll back some, or restore fewer files at once"));
    assert_eq!(bench.copies.list(None).unwrap(), before, "nothing is kept of what is refused");
    plan(&files[7]).unwrap();
    assert_eq!(bench.copies.list(None).unwrap().len(), before.len(), "the same plan once more takes no room");

    // One is under way, as its note says, however long; one is over.
    let (real, name, former) = bench.copies.where_is(first, "A1").unwrap();
    fs::create_dir_all(bench.at("data/expiry")).unwrap();
    let file = bench.copies.file_of(first, &copies[0]);
    let lines = [real.to_str().unwrap(), name.to_str().unwrap(), former.to_str().unwrap(), file.to_str().unwrap()];
    fs::write(bench.at("data/expiry/A1"), format!("file\n{}\n", lines.join("\n"))).unwrap();
    bench.copies.release(first).unwrap();
    assert!(plan(last).is_err(), "another life of the plan does not end what is under way");
    let late = now() + chrono::TimeDelta::days(9);
    bench.copies.hold(&files[1].0, &copies[1], None, late).unwrap();
    bench.copies.release(&files[2].0).unwrap();
    plan(last).unwrap();
    let is_kept = |number: usize| bench.copies.version(&files[number].0, &copies[number]).is_ok();
    assert_eq!((0..64).filter(|number| !is_kept(*number)).collect::<Vec<_>>(), [2], "what is over makes room");
    for (path, was) in &files[2..64] {
        bench.copies.keep_baseline(path, was, late - chrono::TimeDelta::minutes(1)).unwrap();
    }
    assert!(is_kept(0) && is_kept(1), "nine days later both are still under way");
}

/// Somebody writes a new version every few seconds while one is put in place.
#[test]
fn a_version_that_an_action_put_in_place_outlives_a_flood_of_new_ones() {
    let mut bench = Bench::new();
    let path = bench.write("etc/sudoers", "first\n");
    bench.copies.look(now());
    bench.write("etc/sudoers", "good\n");
    bench.copies.look(now());
    let good = hash("good\n");
    bench.copies.hold(&path, &good, None, now() + chrono::TimeDelta::minutes(10)).unwrap();
    for number in 0..2 * MAX_VERSIONS {
        bench.write("etc/sudoers", &format!("{number}\n"));
        bench.copies.keep(&path, now()).unwrap();
    }
    assert!(bench.copies.version(&path, &good).is_ok());
    bench.copies.release(&path).unwrap();
    bench.write("etc/sudoers", "last\n");
    bench.copies.keep(&path, now()).unwrap();
    assert!(bench.copies.version(&path, &good).is_err(), "and goes when it is over");
}

#[test]
fn a_torn_or_changed_shelf_is_not_trusted() {
    let mut bench = Bench::new();
    let path = bench.write("etc/sudoers", "good\n");
    bench.copies.look(now());
    let index = bench.copies.dir.join(INDEX);
    let mut torn = fs::read(&index).unwrap();
    torn.extend(b"{\"path\":\"/etc/pa");
    fs::write(&index, torn).unwrap();
    assert_eq!(bench.copies.list(None).unwrap().len(), 1);
    fs::write(bench.copies.file_of(&path, &hash("good\n")), "evil\n").unwrap();
    assert!(bench.copies.version(&path, &hash("good\n")).unwrap_err().to_string().contains("does not hold what its name says"));
    assert!(matches!(bench.copies.version(&path, "../../etc/passwd"), Err(AccessError::NoCopy { .. })));
}
