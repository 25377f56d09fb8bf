//! `logs import-fail2ban`: fail2ban's jails become ours, in a file that the agent reads; a table says what becomes of each.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::args::Global;
use super::outcome::{Failure, Outcome};
use super::print::table;
use super::taken_jails;
use bartizan_fail2ban::{Filter, Import, Installed, Jail, Problem, Source, TakenOver, filter_of, own_parser};

/// Where fail2ban is, and what to show.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Folder in which jail.conf lies.
    #[arg(default_value = "/etc/fail2ban", value_name = "DIR")]
    directory: PathBuf,
    /// Show what is understood and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Show jails that are not enabled, too.
    #[arg(long, requires = "dry_run")]
    all: bool,
    /// Take all imported jails away again.
    #[arg(long, conflicts_with_all = ["dry_run", "directory"])]
    remove: bool,
}

/// What becomes of a jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// All of it is understood.
    TakenOver,
    /// All of it is understood, and something is done otherwise.
    Differs,
    /// Some expressions or settings are not understood; the others are.
    InPart,
    /// Nothing of it can be run.
    NotUnderstood,
}

impl State {
    fn of(jail: &Jail) -> Self {
        match jail {
            Jail { spec: None, .. } => Self::NotUnderstood,
            Jail { problems, .. } if !problems.is_empty() => Self::InPart,
            jail if !differences(jail).is_empty() => Self::Differs,
            _ => Self::TakenOver,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::TakenOver => "taken over",
            Self::Differs => "differs",
            Self::InPart => "in part",
            Self::NotUnderstood => "not understood",
        }
    }
}

/// What is done otherwise, in sentences.
fn differences(jail: &Jail) -> Vec<String> {
    let own = own_parser(filter_of(&jail.filter));
    let first =
        own.map(|own| format!("our own parser of {own} reads the lines, too: they must agree on the address, and a failure counts once"));
    first.into_iter().chain(jail.differs.iter().cloned()).collect()
}

/// One jail, as JSON.
#[derive(Serialize)]
struct Row<'a> {
    jail: &'a str,
    enabled: bool,
    filter: &'a str,
    state: State,
    logs: &'a [Source],
    /// Expressions that can find a failure.
    expressions: usize,
    maxretry: u32,
    findtime_seconds: i64,
    bantime_seconds: i64,
    ignoreip: &'a [String],
    differs: Vec<String>,
    problems: &'a [Problem],
}

/// All of it, as JSON.
#[derive(Serialize)]
struct Document<'a> {
    directory: &'a Path,
    jails: Vec<Row<'a>>,
    not_enabled: usize,
    problems: &'a [Problem],
    /// The file that was written.
    written: Option<&'a Path>,
    /// Jails that are not in it, and why.
    left_out: Vec<LeftOut<'a>>,
}

/// An enabled jail that is not taken over.
#[derive(Serialize)]
struct LeftOut<'a> {
    jail: &'a str,
    why: &'a str,
}

/// Reads fail2ban's folder, takes over what can run, and prints what is understood; exit 5 when something is not.
pub(super) fn import(global: &Global, args: &ImportArgs) -> Result<Outcome, Failure> {
    if args.remove {
        return taken_jails::remove(global);
    }
    let installed = Installed::read(&args.directory).map_err(Failure::failed)?;
    let import = bartizan_fail2ban::import(&installed, args.all);
    let (taken, left) = TakenOver::of(&import, &args.directory.to_string_lossy());
    let written = if args.dry_run { None } else { Some(taken_jails::write(global, &taken)?) };
    let shown: Vec<&Jail> = import.jails.iter().filter(|jail| args.all || jail.enabled).collect();
    let not_enabled = import.jails.len() - shown.len();
    let mut out = io::stdout().lock();
    let printed = if global.json {
        let document = Document {
            directory: &args.directory,
            jails: shown.iter().map(|jail| row(jail)).collect(),
            not_enabled,
            problems: &import.problems,
            written: written.as_deref(),
            left_out: left.iter().map(|(jail, why)| LeftOut { jail, why }).collect(),
        };
        serde_json::to_writer_pretty(&mut out, &document).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        let said = |out: &mut io::StdoutLock<'_>| taken_jails::say(out, written.as_deref(), &taken, &left);
        print(&mut out, &shown, not_enabled, &import).and_then(|()| said(&mut out))
    };
    match printed {
        // Whoever closed the pipe has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(Failure::failed(format!("cannot print: {error}"))),
        _ => {}
    }
    let whole = shown.iter().all(|jail| matches!(State::of(jail), State::TakenOver | State::Differs));
    Ok(if whole && import.problems.is_empty() { Outcome::Done } else { Outcome::Found })
}

fn row<'a>(jail: &'a Jail) -> Row<'a> {
    let filter = jail.spec.as_ref().and_then(|spec| Filter::new(spec).0);
    Row {
        jail: &jail.name,
        enabled: jail.enabled,
        filter: &jail.filter,
        state: State::of(jail),
        logs: &jail.sources,
        expressions: filter.map_or(0, |filter| filter.expressions()),
        maxretry: jail.maxretry,
        findtime_seconds: jail.findtime,
        bantime_seconds: jail.held(),
        ignoreip: &jail.ignoreip,
        differs: differences(jail),
        problems: &jail.problems,
    }
}

fn print(out: &mut impl Write, shown: &[&Jail], not_enabled: usize, import: &Import) -> io::Result<()> {
    let mut rows = Vec::new();
    for jail in shown {
        let state = State::of(jail);
        let why = match state {
            State::TakenOver => String::new(),
            State::Differs => differences(jail).join("; "),
            State::InPart | State::NotUnderstood => format!("{}, listed below", count(jail.problems.len(), "reason")),
        };
        let rule = format!("{} in {} s, {} s", jail.maxretry, jail.findtime, jail.held());
        let mut logs = jail.sources.iter().map(log);
        let first = logs.next().unwrap_or_else(|| "none".to_owned());
        rows.push([jail.name.clone(), filter(jail), first, rule, state.noun().to_owned(), why]);
        rows.extend(logs.map(|log| [String::new(), String::new(), log, String::new(), String::new(), String::new()]));
    }
    table::write(out, ["JAIL", "FILTER", "LOG", "FAILURES, HELD", "STATE", "WHY"], &rows)?;
    if shown.is_empty() {
        writeln!(out, "No jail is enabled.")?;
    }
    if not_enabled > 0 {
        writeln!(
            out,
            "\n{} not enabled; --all lists them.",
            if not_enabled == 1 { "1 jail is".to_owned() } else { format!("{not_enabled} jails are") }
        )?;
    }
    let mut problems = shown.iter().flat_map(|jail| jail.problems.iter().map(|problem| (Some(&jail.name), problem)));
    let mut others = import.problems.iter().map(|problem| (None, problem)).peekable();
    if others.peek().is_some() || problems.clone().next().is_some() {
        writeln!(out, "\nNot understood, and left out:")?;
    }
    problems.by_ref().chain(others).try_for_each(|(jail, problem)| match jail {
        Some(jail) if problem.file != format!("jail {jail}") => writeln!(out, "  {jail}: {problem}"),
        Some(_) | None => writeln!(out, "  {problem}"),
    })
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The filter as it stands there, without the parameter that every jail has.
fn filter(jail: &Jail) -> String {
    jail.filter.replace("[mode=normal]", "")
}

fn log(source: &Source) -> String {
    match source {
        Source::File(path) => path.clone(),
        Source::Journal(asked) if asked.is_empty() => "journal".to_owned(),
        Source::Journal(asked) => format!("journal {asked}"),
    }
}
