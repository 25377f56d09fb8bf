//! What commits of a Git repository added, each content once, held against rules: what a later commit removed is found too.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

use super::pieces::{self, Ended};
use bartizan_scan::secrets::{FileScan, Hit, Scanner};
use bartizan_sys::git_program::{Repository, Talk};

/// Commits that are looked at.
pub(in crate::cli) const MAX_COMMITS: usize = 500_000;
/// Contents that are remembered as seen; others are looked at again.
const MAX_SEEN: usize = 4_000_000;
/// How long git may take to list commits.
const PATIENCE: Duration = Duration::from_secs(600);
/// Bytes of one path, and of one line that git answers.
const MAX_PATH: u64 = 64 << 10;
/// A message of a commit is looked at under this name.
const MESSAGE: &[u8] = b"(commit message)";

/// Where something was found.
pub(in crate::cli) struct Place<'a> {
    pub(in crate::cli) commit: &'a str,
    pub(in crate::cli) path: &'a [u8],
}

/// What was looked at.
#[derive(Debug, Default)]
pub(in crate::cli) struct Counts {
    pub(in crate::cli) commits: u64,
    pub(in crate::cli) files: u64,
    pub(in crate::cli) bytes: u64,
    pub(in crate::cli) binary: u64,
    /// Longer than is read; the first of them.
    pub(in crate::cli) longer: u64,
    pub(in crate::cli) longest: Option<(String, Vec<u8>)>,
    pub(in crate::cli) commented: u64,
    /// Files of which a piece had too many matches, and secrets that are not told one by one.
    pub(in crate::cli) cut: u64,
    pub(in crate::cli) more: u64,
}

/// Commits, oldest first, by the arguments of git-rev-list(1) that pick them; and whether there are more than are looked at.
pub(in crate::cli) fn list(repository: &Repository, picked: &[String]) -> io::Result<(Vec<String>, bool)> {
    let most = format!("--max-count={}", MAX_COMMITS + 1);
    let mut arguments = vec!["rev-list".to_owned(), "--topo-order".to_owned(), "--reverse".to_owned(), most];
    arguments.extend(picked.iter().cloned());
    let said = repository.ask(&arguments, 65 * (MAX_COMMITS as u64 + 2), PATIENCE)?;
    let text = String::from_utf8_lossy(&said);
    let mut commits: Vec<String> = text.lines().filter(|line| is_object(line)).map(str::to_owned).collect();
    let more = commits.len() > MAX_COMMITS;
    // The newest are at the end: those are looked at.
    commits.drain(..commits.len().saturating_sub(MAX_COMMITS));
    Ok((commits, more))
}

/// Whether this names an object: 40 or 64 hex digits.
pub(in crate::cli) fn is_object(word: &str) -> bool {
    matches!(word.len(), 40 | 64) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Looks at what each commit added; `found` gets every secret, `at` how far it is.
pub(in crate::cli) fn scan(
    scanner: &Scanner,
    repository: &Repository,
    commits: &[String],
    max_file: u64,
    found: &mut dyn FnMut(&Place, Hit),
    at: &mut dyn FnMut(&Counts),
) -> io::Result<Counts> {
    let mut changes = repository.talk(&[
        "diff-tree", "--stdin", "--root", "-r", "-c", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv",
    ])?;
    let mut look = Look { scanner, contents: Contents::of(repository)?, max_file, counts: Counts::default(), buffer: Vec::new(), found };
    let Some(mut input) = changes.input.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
    std::thread::scope(|scope| {
        // It ends with this closure, whatever happens: then nobody waits for it.
        let mut changes = changes;
        scope.spawn(move || {
            // Its end is seen by the reader: git ends when it has no more to read.
            let _ = commits.iter().try_for_each(|commit| writeln!(input, "{commit}"));
        });
        for commit in commits {
            look.message(commit)?;
        }
        let mut seen = HashSet::new();
        let mut output = BufReader::new(&mut changes.output);
        let mut commit = String::new();
        while let Some(token) = token(&mut output)? {
            if token.first() != Some(&b':') {
                commit = String::from_utf8_lossy(&token).into_owned();
                look.counts.commits += 1;
                at(&look.counts);
                continue;
            }
            let Some(path) = self::token(&mut output)? else { return Err(io::Error::other("git stopped in the midst of a change")) };
            let Some(object) = added(&token) else { continue };
            if seen.len() < MAX_SEEN && !seen.insert(object.clone()) {
                continue;
            }
            look.content(&commit, &path, &object)?;
        }
        drop(output);
        match changes.finish()? {
            true => Ok(()),
            false => Err(io::Error::other("git could not read all commits: the repository is broken or incomplete")),
        }
    })?;
    // Commits that change nothing are not printed.
    look.counts.commits = commits.len() as u64;
    Ok(look.counts)
}

/// Up to the next zero byte; `None` at the end.
fn token(output: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    output.take(MAX_PATH).read_until(0, &mut bytes)?;
    match bytes.pop() {
        None => Ok(None),
        Some(0) => Ok(Some(bytes)),
        Some(_) => Err(io::Error::other("a path in a commit is too long, or git stopped")),
    }
}

/// The content of a regular file that a change leaves behind: `:100644 100755 OLD NEW M`, of a merge with a colon, a mode and an object for
/// each parent more. Links and submodules hold no content of their own.
fn added(record: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(record).ok()?;
    let parents = text.bytes().take_while(|byte| *byte == b':').count();
    let words: Vec<&str> = text.trim_start_matches(':').split(' ').collect();
    let (mode, object) = (words.get(parents)?, words.get(2 * parents + 1)?);
    let is_file = mode.starts_with("100");
    (is_file && is_object(object) && object.bytes().any(|byte| byte != b'0')).then(|| (*object).to_owned())
}

/// The contents of a repository, asked for one by one.
struct Contents {
    talk: Talk,
    input: std::process::ChildStdin,
}

impl Contents {
    fn of(repository: &Repository) -> io::Result<Self> {
        let mut talk = repository.talk(&["cat-file", "--batch"])?;
        let input = talk.input.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { talk, input })
    }

    /// How long it is; its bytes follow in the output, and a line feed.
    fn ask(&mut self, object: &str) -> io::Result<u64> {
        writeln!(self.input, "{object}")?;
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') && line.len() < 256 {
            self.talk.output.read_exact(&mut byte)?;
            line.extend_from_slice(&byte);
        }
        let line = String::from_utf8_lossy(&line);
        let size = line.split_ascii_whitespace().nth(2).and_then(|size| size.parse().ok());
        size.ok_or_else(|| io::Error::other(format!("the repository lacks an object: {}", line.trim())))
    }

    /// Gives what is left of it, and the line feed, to nobody.
    fn skip(&mut self, left: u64) -> io::Result<()> {
        let all = (&mut self.talk.output).take(left + 1);
        let skipped = io::copy(&mut { all }, &mut io::sink())?;
        if skipped == left + 1 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

struct Look<'a> {
    scanner: &'a Scanner,
    contents: Contents,
    max_file: u64,
    counts: Counts,
    buffer: Vec<u8>,
    found: &'a mut dyn FnMut(&Place, Hit),
}

impl Look<'_> {
    fn message(&mut self, commit: &str) -> io::Result<()> {
        const LONGEST: u64 = 1 << 20;
        let size = self.contents.ask(commit)?;
        let mut bytes = Vec::new();
        let read = (&mut self.contents.talk.output).take(size.min(LONGEST)).read_to_end(&mut bytes)? as u64;
        self.contents.skip(size - read)?;
        let begin = memmem(&bytes, b"\n\n").map_or(bytes.len(), |at| at + 2);
        let mut scan = FileScan::default();
        self.scanner.piece(MESSAGE, bytes.get(begin..).unwrap_or_default(), 1, &mut scan);
        self.tell(commit, MESSAGE, scan);
        Ok(())
    }

    fn content(&mut self, commit: &str, path: &[u8], object: &str) -> io::Result<()> {
        let size = self.contents.ask(object)?;
        let mut scan = FileScan::default();
        self.scanner.name(path, &mut scan);
        let mut text = (&mut self.contents.talk.output).take(size);
        let ended = pieces::scan(self.scanner, self.max_file, &mut text, path, &mut self.buffer, &mut scan)?;
        let left = text.limit();
        self.contents.skip(left)?;
        self.counts.files += 1;
        match ended {
            Ended::AtEnd(bytes) => self.counts.bytes += bytes,
            Ended::Binary => self.counts.binary += 1,
            Ended::TooLong(bytes) => {
                self.counts.bytes += bytes;
                self.counts.longer += 1;
                self.counts.longest.get_or_insert_with(|| (commit.to_owned(), path.to_vec()));
            }
        }
        self.tell(commit, path, scan);
        Ok(())
    }

    fn tell(&mut self, commit: &str, path: &[u8], scan: FileScan) {
        self.counts.commented += scan.commented;
        self.counts.cut += u64::from(scan.cut);
        self.counts.more += scan.more;
        for hit in scan.hits() {
            (self.found)(&Place { commit, path }, hit);
        }
    }
}

fn memmem(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_change_is_read_of_commits_and_merges() {
        let (a, b, c, zero) = ("a".repeat(40), "b".repeat(40), "c".repeat(40), "0".repeat(40));
        assert_eq!(added(format!(":100644 100755 {a} {b} M").as_bytes()), Some(b.clone()));
        assert_eq!(added(format!("::100644 100644 100644 {a} {b} {c} MM").as_bytes()), Some(c));
        assert_eq!(added(format!(":100644 000000 {a} {zero} D").as_bytes()), None);
        assert_eq!(added(format!(":000000 120000 {zero} {b} A").as_bytes()), None, "a link");
        assert_eq!(added(format!(":000000 160000 {zero} {b} A").as_bytes()), None, "a submodule");
        assert_eq!(added(b":"), None);
    }
}
