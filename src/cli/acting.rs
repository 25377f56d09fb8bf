//! The acting verbs: what a person asks to be done to the host; words in, a plan out. Nothing here acts.

use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::act_args::{ActVerb, BlockArgs, LimitArgs, RestoreArgs, TreeArgs};
use super::outcome::Failure;
use bartizan_client::Connection;
use bartizan_model::{
    ActionId, ActionKind, ActionPlan, ActionState, Direction, FileBackup, HostText, Isolation, ProcessKey, Target, Whose,
};
use bartizan_protocol::{Push, Reply, Request};

/// What is wrong with the words themselves is told before anybody is asked.
pub(super) fn check(verb: &ActVerb) -> Result<(), Failure> {
    match verb {
        ActVerb::Block(args) => {
            let addr = address(&args.addr, "block")?;
            let target = match &args.cgroup {
                Some(path) => Target::Destination { addr, whose: Whose::Cgroup { path: path.clone() } },
                None => Target::Address { addr, direction: Direction::In },
            };
            plan(kind(&target), target, args.lasts).map(drop)
        }
        ActVerb::Limit(args) => limit(args).map(drop),
        ActVerb::Contain(args) => plan(ActionKind::ContainHost, Target::Host, args.lasts).map(drop),
        ActVerb::Freeze(tree) | ActVerb::Kill(tree) => match tree.process.parse::<u32>() {
            Ok(_) => Ok(()),
            Err(_) => named(&tree.process).map(drop),
        },
        ActVerb::Restore(args) => args.copy.as_deref().map_or(Ok(()), |copy| whole(copy).map(drop)),
        ActVerb::Thaw { .. } | ActVerb::Isolate(_) | ActVerb::DisableUser(_) => Ok(()),
    }
}

/// The question that an acting verb stands for.
pub(super) async fn request(connection: &mut Connection, verb: &ActVerb, json: bool) -> Result<Request, Failure> {
    let (plan, manner) = match verb {
        ActVerb::Block(args) => (block(connection, args).await?, &args.manner),
        ActVerb::Limit(args) => (limit(args)?, &args.manner),
        ActVerb::Freeze(tree) => (process_tree(connection, ActionKind::FreezeTree, tree).await?, &tree.manner),
        ActVerb::Kill(tree) => (process_tree(connection, ActionKind::KillTree, tree).await?, &tree.manner),
        ActVerb::Contain(args) => (plan(ActionKind::ContainHost, Target::Host, args.lasts)?, &args.manner),
        ActVerb::Isolate(args) => {
            let isolation = if args.pause { Isolation::Pause } else { Isolation::Network };
            let target = find(connection, Request::FindContainer { name: args.container.clone(), isolation }).await?;
            (plan(ActionKind::IsolateContainer, target, args.lasts)?, &args.manner)
        }
        ActVerb::DisableUser(args) => {
            let target = find(connection, Request::FindAccount { name: args.name.clone() }).await?;
            (plan(ActionKind::DisableUser, target, args.lasts)?, &args.manner)
        }
        ActVerb::Restore(args) => (restore(connection, args).await?, &args.manner),
        ActVerb::Thaw { process } => return thaw(connection, process).await,
    };
    if manner.preview {
        let early = if plan.kind().is_disruptive() { "; the real action must be confirmed in time" } else { "" };
        super::print::progress(
            &format!("preview of \"{plan}\" for {}: nothing is changed{early}", humantime::format_duration(plan.lasts())),
            json,
        );
    }
    Ok(if manner.preview { Request::Preview { plan } } else { Request::Act { plan, reason: manner.reason.clone() } })
}

fn address(text: &str, verb: &str) -> Result<IpAddr, Failure> {
    let shown = HostText::from(text).escaped();
    let bad = |why: &str| {
        Failure::usage(format!("\"{shown}\" is not an address to {verb}: {why}"), "write one address, such as 203.0.113.7 or 2001:db8::7")
    };
    if text.contains('/') {
        return Err(bad(&format!("it is a network, and one {verb} is one address")));
    }
    text.parse().map_err(|_| bad("it is neither IPv4 nor IPv6"))
}

fn kind(target: &Target) -> ActionKind {
    if matches!(target, Target::Destination { .. }) { ActionKind::BlockDestination } else { ActionKind::BlockAddress }
}

fn plan(kind: ActionKind, target: Target, lasts: Duration) -> Result<ActionPlan, Failure> {
    ActionPlan::new(kind, target, lasts).map_err(|error| Failure::usage(error.to_string(), ""))
}

fn another() -> Failure {
    Failure::failed("unexpected answer from the agent: use the client of the same version")
}

/// What a name stands for on this host; only the agent can know.
async fn find(connection: &mut Connection, request: Request) -> Result<Target, Failure> {
    match connection.ask(request).await? {
        Reply::Target(target) => Ok(target),
        Reply::Refused(refusal) => Err(refusal.into()),
        _ => Err(another()),
    }
}

async fn block(connection: &mut Connection, args: &BlockArgs) -> Result<ActionPlan, Failure> {
    let addr = address(&args.addr, "block")?;
    let target = match whose(connection, args).await? {
        Some(whose) => Target::Destination { addr, whose },
        None => Target::Address { addr, direction: if args.out { Direction::Out } else { Direction::In } },
    };
    plan(kind(&target), target, args.lasts)
}

async fn whose(connection: &mut Connection, args: &BlockArgs) -> Result<Option<Whose>, Failure> {
    if let Some(name) = &args.user {
        return match (find(connection, Request::FindAccount { name: name.clone() }).await, name.lossy().parse()) {
            (Ok(Target::User { uid, .. }), _) => Ok(Some(Whose::User { uid })),
            // Packets need no account: a container's or a directory service's user has a number as well.
            (Err(failure), Ok(uid)) if failure.code == super::outcome::USAGE => Ok(Some(Whose::User { uid })),
            (Err(failure), _) => Err(failure),
            _ => Err(another()),
        };
    }
    if let Some(name) = &args.container {
        return match find(connection, Request::FindContainer { name: name.clone(), isolation: Isolation::Network }).await? {
            Target::Container { id, .. } => Ok(Some(Whose::Container { id })),
            _ => Err(another()),
        };
    }
    Ok(args.cgroup.clone().map(|path| Whose::Cgroup { path }))
}

fn limit(args: &LimitArgs) -> Result<ActionPlan, Failure> {
    let target = Target::Source { addr: address(&args.addr, "limit")?, packets_per_second: args.packets };
    plan(ActionKind::LimitSource, target, args.lasts)
}

fn named(key: &str) -> Result<ProcessKey, Failure> {
    key.parse().map_err(|error: bartizan_model::KeyError| Failure::usage(error.to_string(), ""))
}

async fn process_tree(connection: &mut Connection, kind: ActionKind, tree: &TreeArgs) -> Result<ActionPlan, Failure> {
    let (root, exe) = process(connection, &tree.process).await?;
    plan(kind, Target::ProcessTree { root, exe }, tree.lasts)
}

/// The process that a person means: a key names one beyond doubt, a pid names the one that has it now.
async fn process(connection: &mut Connection, text: &str) -> Result<(ProcessKey, HostText), Failure> {
    connection.ask(Request::Subscribe { console: false, ssh_connection: None }).await?;
    let Push::Snapshot(snapshot) = connection.next_push().await? else {
        return Err(Failure::failed("the agent sent no list of processes: use the client of the same version"));
    };
    let found = match text.parse::<u32>() {
        Ok(pid) => snapshot.processes.into_iter().find(|row| row.key.pid == pid),
        Err(_) => {
            let key = named(text)?;
            snapshot.processes.into_iter().find(|row| row.key == key)
        }
    };
    let missing = || {
        let message = format!("no running process {}: it has ended, or the agent does not see it", HostText::from(text));
        Failure::usage(message, "the processes view of the console lists the running ones")
    };
    found.map(|row| (row.key, row.exe)).ok_or_else(missing)
}

async fn thaw(connection: &mut Connection, text: &str) -> Result<Request, Failure> {
    if let Ok(id) = text.parse::<ActionId>()
        && text.starts_with(['A', 'a'])
    {
        return Ok(Request::Rollback { ids: vec![id] });
    }
    let (key, exe) = process(connection, text).await?;
    let Reply::Actions(actions) = connection.ask(Request::Actions { active: true }).await? else {
        return Err(Failure::failed("the agent sent no list of actions: use the client of the same version"));
    };
    let frozen =
        actions.iter().find(|a| a.kind == ActionKind::FreezeTree && a.state != ActionState::Failed && a.target.root() == Some(key));
    match frozen {
        Some(action) => Ok(Request::Rollback { ids: vec![action.id] }),
        None => Err(Failure::usage(
            format!("{exe} (pid {}) is not the top of a frozen tree", key.pid),
            "`bartizan actions --active` lists what is frozen",
        )),
    }
}

/// A path as the agent knows it: whole, from the root.
pub(super) fn path(path: &Path) -> Result<HostText, Failure> {
    let whole = std::path::absolute(path).map_err(|error| Failure::usage(format!("\"{}\" is not a path: {error}", path.display()), ""))?;
    Ok(HostText::from(whole.as_os_str().as_bytes()))
}

async fn restore(connection: &mut Connection, args: &RestoreArgs) -> Result<ActionPlan, Failure> {
    let path = path(&args.path)?;
    let copies = match connection.ask(Request::Copies { path: Some(path.clone()) }).await? {
        Reply::Copies(copies) => copies,
        Reply::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(another()),
    };
    let copy = choose(&copies, &path, args.copy.as_deref())?;
    plan(ActionKind::RestoreFile, Target::File { path, copy }, args.lasts)
}

/// First digits of a copy's name, checked.
fn whole(text: &str) -> Result<&str, Failure> {
    let fits = (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let bad = || {
        Failure::usage(
            format!("\"{}\" is not a backup's hash", HostText::from(text)),
            "write at least 8 of the digits that `bartizan copies` shows",
        )
    };
    if fits { Ok(text) } else { Err(bad()) }
}

/// The copy that is meant: the one that is named, else the newest that differs from the file as it is now.
fn choose(copies: &[FileBackup], path: &HostText, named: Option<&str>) -> Result<String, Failure> {
    let list = "`bartizan copies` lists the backups";
    let of = || copies.iter().filter(|copy| copy.path == *path);
    if of().next().is_none() {
        return Err(Failure::usage(format!("there is no backup of {path}"), list));
    }
    let Some(text) = named else {
        let newest = of().filter(|copy| copy.differs).max_by_key(|copy| copy.at);
        let same = || Failure::usage(format!("{path} has the same content as every backup of it"), list);
        return newest.map(|copy| copy.copy.clone()).ok_or_else(same);
    };
    let text = whole(text)?;
    let mut found: Vec<&str> = of().map(|copy| copy.copy.as_str()).filter(|copy| copy.starts_with(text)).collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::usage(format!("no backup of {path} begins with {text}"), list)),
        _ => Err(Failure::usage(format!("more than one backup of {path} begins with {text}"), "write more digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::Timestamp;

    fn copy(path: &str, copy: char, at: i64, differs: bool) -> FileBackup {
        let at = Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(at);
        FileBackup { path: path.into(), copy: copy.to_string().repeat(64), at, mode: 0o600, uid: 0, gid: 0, bytes: 1, differs }
    }

    #[test]
    fn the_newest_copy_that_differs_is_put_back_unless_another_is_named() {
        let path = HostText::from("/etc/sudoers");
        let copies = [
            copy("/etc/sudoers", 'a', 3, false),
            copy("/etc/sudoers", 'b', 2, true),
            copy("/etc/sudoers", 'c', 1, true),
            copy("/etc/x", 'd', 9, true),
        ];
        assert_eq!(choose(&copies, &path, None).unwrap(), "b".repeat(64));
        assert_eq!(choose(&copies, &path, Some("cccccccc")).unwrap(), "c".repeat(64));
        assert!(choose(&copies, &path, Some("dddddddd")).unwrap_err().message.contains("no backup of /etc/sudoers begins with"));
        assert!(choose(&copies, &path, Some("ccc")).unwrap_err().message.contains("is not a backup's hash"));
        assert!(choose(&copies, &path, Some("cccccccc\u{1b}[2J")).unwrap_err().message.contains("\\"), "escaped");
        assert!(choose(&copies[..1], &path, None).unwrap_err().message.contains("every backup"));
        assert!(choose(&copies, &"/etc/y".into(), None).unwrap_err().message.contains("there is no backup of /etc/y"));
    }

    #[test]
    fn one_name_for_two_copies_is_asked_about() {
        let mut two = [copy("/a", 'e', 1, true), copy("/a", 'e', 2, true)];
        assert!(choose(&two, &"/a".into(), Some("eeeeeeee")).is_ok(), "the same content kept twice is one backup");
        two[1].copy.replace_range(63.., "f");
        assert!(choose(&two, &"/a".into(), Some("eeeeeeee")).unwrap_err().message.contains("more than one"));
    }

    #[test]
    fn networks_and_names_are_no_addresses() {
        for text in ["10.0.0.0/8", "example.org", "", "1.2.3.4\u{1b}[2J"] {
            let failure = address(text, "limit").unwrap_err();
            assert_eq!(failure.code, super::super::outcome::USAGE);
            assert!(!failure.message.contains('\u{1b}'));
        }
        assert!(address("::ffff:203.0.113.7", "block").is_ok());
    }
}
