//! Installs the pre-push hook beside what is there, and takes it away again.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::outcome::{Failure, Outcome};
use crate::cli::print;
use bartizan_model::HostText;
use bartizan_sys::git_program::Repository;
use bartizan_sys::plain_file;
use bartizan_sys::replace_file::{self, Outlives};

/// The hook, and where one is kept that was there before.
const HOOK: &str = "pre-push";
const BEFORE: &str = "pre-push.before-bartizan";
/// By this line it is known as ours.
const MARK: &str = "# Bartizan's pre-push hook: looks for secrets in the commits that are to be pushed.";
/// Bytes of a hook that are read to know it.
const MAX_HOOK: u64 = 64 << 10;
/// How long git may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Standard input is read once and given to both hooks. Without the program nothing is pushed: nobody would have looked.
const REST: &str = r#"[ -x "$bartizan" ] || bartizan=$(command -v bartizan) || bartizan=
if [ -z "$bartizan" ]; then
    echo "bartizan: push blocked: the program bartizan is not here, so nobody looked for secrets. Install it, remove this hook ($0), or push with --no-verify." >&2
    exit 1
fi
refs=$(cat)
say() { if [ -n "$refs" ]; then printf '%s\n' "$refs"; fi; }
say | "$bartizan" hook check --repo "${GIT_DIR:-.}" -- "$@" || exit 1
before=${0%/*}/pre-push.before-bartizan
if [ -x "$before" ]; then
    say | "$before" "$@"
fi
"#;

fn script(program: &Path) -> Vec<u8> {
    let quoted = program.as_os_str().as_bytes().split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&b"'\\''"[..]);
    let head = format!(
        "#!/bin/sh\n{MARK}\n# Made by `bartizan hook install`, taken away by `bartizan hook remove`. `git push --no-verify` pushes without it.\nbartizan='"
    );
    [head.as_bytes(), &quoted, b"'\n", REST.as_bytes()].concat()
}

/// Where hooks of this repository lie.
fn place(repository: &Path) -> Result<PathBuf, Failure> {
    let shown = HostText::from(repository.as_os_str().as_bytes());
    let wrong = |why: String| Failure::usage(format!("{shown}: {why}"), "name a Git repository that is yours");
    let found = Repository::at(repository, false).map_err(|why| wrong(why.to_string()))?;
    if found.is_anothers() {
        // Root would write where that user can make links.
        return Err(wrong("it belongs to another user".to_owned()));
    }
    let mut said = found.ask(&["rev-parse", "--git-common-dir"], 1 << 16, PATIENCE).map_err(|why| wrong(why.to_string()))?;
    while said.last() == Some(&b'\n') {
        said.pop();
    }
    let common = found.path().join(std::ffi::OsString::from_vec(said));
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".gitconfig"));
    let files = [Some(common.join("config")), home, Some("/etc/gitconfig".into())];
    for file in files.into_iter().flatten().filter(|file| file.is_file()) {
        let arguments = ["config".as_ref(), "--file".as_ref(), file.as_os_str(), "--get".as_ref(), "core.hooksPath".as_ref()];
        if let Ok(elsewhere) = found.ask(&arguments, 1 << 16, PATIENCE) {
            let elsewhere = HostText::from(elsewhere.trim_ascii());
            let why = format!("Git runs the hooks in {elsewhere} instead of its own (core.hooksPath in {})", file.display());
            let mend = "call it from the hook there: bartizan hook check --repo \"${GIT_DIR:-.}\" -- \"$@\"";
            return Err(Failure::new(1, format!("{shown}: {why}"), mend));
        }
    }
    Ok(common.join("hooks"))
}

/// Whether the hook is ours; `None`: there is none.
fn is_ours(hook: &Path) -> Result<Option<bool>, Failure> {
    match hook.symlink_metadata() {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Failure::failed(format!("{}: {why}", hook.display()))),
        Ok(facts) if !facts.is_file() => return Ok(Some(false)),
        Ok(_) => {}
    }
    let (file, _) = plain_file::open(hook).map_err(|why| Failure::failed(format!("{}: {why}", hook.display())))?;
    let mut bytes = Vec::new();
    file.take(MAX_HOOK).read_to_end(&mut bytes)?;
    Ok(Some(bytes.split(|byte| *byte == b'\n').any(|line| line == MARK.as_bytes())))
}

/// Puts the hook where Git looks for it.
pub(super) fn install(repository: &Path, json: bool) -> Result<Outcome, Failure> {
    let hooks = place(repository)?;
    let (hook, before) = (hooks.join(HOOK), hooks.join(BEFORE));
    fs::create_dir_all(&hooks)?;
    let ours = is_ours(&hook)?;
    let mut kept = before.symlink_metadata().is_ok();
    if ours == Some(false) {
        if kept {
            let why = format!("{} and {} are both there already", hook.display(), before.display());
            return Err(Failure::new(1, why, "join them into one, then install again"));
        }
        fs::rename(&hook, &before)?;
        kept = true;
    }
    let program = std::env::current_exe()?;
    if let Err(why) = replace_file::replace(&hook, &script(&program), 0o755, Outlives::Us) {
        if ours == Some(false) {
            // What was there is worth more than what failed.
            fs::rename(&before, &hook)?;
        }
        return Err(Failure::failed(format!("cannot write {}: {why}", hook.display())));
    }
    let also = if kept { format!("; {} is called after it", before.display()) } else { String::new() };
    print::done(&format!("installed {}: commits with secrets are not pushed{also}", hook.display()), json).map(|()| Outcome::Done)
}

/// Takes the hook away.
pub(super) fn remove(repository: &Path, json: bool) -> Result<Outcome, Failure> {
    let hooks = place(repository)?;
    let (hook, before) = (hooks.join(HOOK), hooks.join(BEFORE));
    if is_ours(&hook)? != Some(true) {
        return Err(Failure::new(1, format!("{} is not a hook of Bartizan", hook.display()), ""));
    }
    let done = if before.symlink_metadata().is_ok() {
        fs::rename(&before, &hook)?;
        "removed; the hook that was there before is back"
    } else {
        fs::remove_file(&hook)?;
        "removed"
    };
    print::done(done, json).map(|()| Outcome::Done)
}
