//! The baseline's database: edits that show, versions that are whole, contents that come and go.

use super::*;

fn new(what: &str) -> NewVersion {
    let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
    NewVersion { at, by: "root".into(), what: what.into(), roots: vec!["/etc".into()], excluded: Vec::new(), files: 2, bytes: 3 }
}

fn made(dir: &Path) -> Baseline {
    let baseline = Baseline::open(dir).unwrap();
    let mut rewrite = baseline.rewrite().unwrap();
    for path in ["/etc", "/etc/ssh", "/etc-old", "/etc0"] {
        rewrite.put(path.as_bytes(), b"entries").unwrap();
    }
    rewrite.keep(blake3::hash(b"kept").as_bytes(), b"kept").unwrap();
    rewrite.commit(new("baseline")).unwrap();
    baseline
}

#[test]
fn an_edit_without_the_key_shows() {
    for (edit, says) in [
        ("UPDATE directories SET entries = x'00' WHERE path = CAST('/etc' AS BLOB)", "the rows are not those of version 1"),
        ("DELETE FROM directories WHERE path = CAST('/etc' AS BLOB)", "the rows are not those of version 1"),
        ("UPDATE versions SET body = replace(body, 'root', 'toor')", "the seal of version 1 does not fit"),
        ("DELETE FROM versions", "there are rows and no version"),
        ("DELETE FROM contents", "the stored contents are not those of version 1"),
        ("UPDATE contents SET data = CAST(data || x'00' AS BLOB)", "a stored content is not what its hash says"),
        ("UPDATE contents SET data = CAST(x'ffffffff' || substr(data, 5) AS BLOB)", "a stored content is not what its hash says"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let baseline = made(dir.path());
        assert_eq!(baseline.verify().unwrap().unwrap().0.number, 1);
        baseline.connection.execute_batch(edit).unwrap();
        let why = baseline.verify().unwrap_err().to_string();
        assert!(why.contains(says), "{edit}: {why}");
    }
    let dir = tempfile::tempdir().unwrap();
    drop(made(dir.path()));
    fs::remove_file(dir.path().join(KEY)).unwrap();
    let why = Baseline::open(dir.path()).unwrap_err().to_string();
    assert!(why.contains("integrity.key: is missing"), "{why}");
}

#[test]
fn a_reader_leaves_nothing_beside_and_garbage_is_no_baseline() {
    let dir = tempfile::tempdir().unwrap();
    drop(made(dir.path()));
    let names = || {
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), [FILE, KEY]);
    let before = fs::metadata(dir.path()).unwrap().modified().unwrap();
    let baseline = Baseline::read(dir.path()).unwrap();
    baseline.verify().unwrap();
    baseline.reader().unwrap().directory(b"/etc").unwrap();
    assert_eq!(names(), [FILE, KEY]);
    drop(baseline);
    assert_eq!(fs::metadata(dir.path()).unwrap().modified().unwrap(), before, "no file was made and removed");
    for (garbage, says) in [(&[7; 4096][..], "it is damaged"), (b"", "it is empty")] {
        fs::write(dir.path().join(FILE), garbage).unwrap();
        let why = Baseline::read(dir.path()).unwrap_err();
        assert!(why.is_broken_baseline() && why.to_string().contains(says), "{why}");
    }
}

#[test]
fn a_content_that_no_row_names_goes_and_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let baseline = made(dir.path());
    let digest = |text: &[u8]| *blake3::hash(text).as_bytes();
    let mut rewrite = baseline.rewrite().unwrap();
    assert!(rewrite.keep(&digest(b"named"), b"named").unwrap());
    rewrite.put(b"/etc", &digest(b"named")).unwrap();
    rewrite.forget_contents(&|row| row.first_chunk().copied().into_iter().collect()).unwrap();
    rewrite.commit(new("approved")).unwrap();
    let reader = baseline.reader().unwrap();
    assert_eq!(reader.content(&digest(b"named")).unwrap().as_deref(), Some(&b"named"[..]));
    assert_eq!(reader.content(&digest(b"kept")).unwrap(), None);
    baseline.verify().unwrap();
}

#[test]
fn a_version_is_made_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let baseline = made(dir.path());
    let rewrite = baseline.rewrite().unwrap();
    rewrite.remove_below(b"/etc").unwrap();
    drop(rewrite);
    let rows = |baseline: &Baseline| {
        let mut rows = Vec::new();
        let all = |path: &[u8], _: &[u8]| rows.push(String::from_utf8(path.to_vec()).unwrap());
        baseline.reader().unwrap().below(b"/", &mut { all }).unwrap();
        rows
    };
    assert_eq!(rows(&baseline), ["/etc", "/etc-old", "/etc/ssh", "/etc0"]);
    let rewrite = baseline.rewrite().unwrap();
    rewrite.remove_below(b"/etc").unwrap();
    let (version, seal) = rewrite.commit(new("approved")).unwrap();
    assert_eq!(rows(&baseline), ["/etc-old", "/etc0"], "a neighbour of the same beginning stays");
    assert_eq!((version.number, baseline.verify().unwrap().unwrap().1), (2, seal));
}

#[test]
fn a_content_comes_back_or_is_told_to_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let baseline = made(dir.path());
    let digest = *blake3::hash(b"PermitRootLogin no\n").as_bytes();
    let mut rewrite = baseline.rewrite().unwrap();
    assert!(rewrite.keep(&digest, b"PermitRootLogin no\n").unwrap());
    rewrite.commit(new("approved")).unwrap();
    assert_eq!(baseline.reader().unwrap().content(&digest).unwrap().as_deref(), Some(&b"PermitRootLogin no\n"[..]));
    assert_eq!(baseline.reader().unwrap().content(&[0; 32]).unwrap(), None);
    baseline.connection.execute_batch("UPDATE contents SET data = x'00'").unwrap();
    assert!(baseline.reader().unwrap().content(&digest).unwrap_err().to_string().contains("not what its hash says"));
}
