//! `replay`: recorded events through the real judging, printed with the lines that made them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::args::{Global, Recorded, ReplayArgs};
use super::ask::settings;
use super::outcome::{FAILED, Failure, Outcome};
use super::print;
use bartizan_agent::replay::{Line, Lines, LogReplay, LogSummary, Place, Replay, Replayed, Summary};
use bartizan_agent::{indicator_lists, rule_packs};
use bartizan_config::Policy;
use bartizan_config::{IndicatorFolders, RuleFolders};
use bartizan_model::{Exception, HostText, Incident, Lifeline, Signal};
use bartizan_sys::own_usage;

/// Read at once.
const CHUNK: usize = 256 * 1024;
/// Longest list of exceptions that is read, in bytes.
const LONGEST_EXCEPTIONS: u64 = 16 * 1024 * 1024;
/// Longest policy that is read, in bytes.
const LONGEST_POLICY: u64 = 1024 * 1024;

/// What is told, as JSON: one object a line.
#[derive(Serialize)]
struct Told<'a> {
    /// Which recording, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<HostText>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'a Signal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<&'a Incident>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
}

/// Where findings go.
struct Printer<'a> {
    out: BufWriter<io::StdoutLock<'static>>,
    files: &'a [PathBuf],
    json: bool,
    /// The first thing that went wrong with the output; after it nothing more is written.
    trouble: Option<io::Error>,
}

/// Replays files, or standard input.
pub(super) fn replay(global: &Global, args: &ReplayArgs) -> Result<Outcome, Failure> {
    let policy = match &args.policy {
        Some(file) => read_policy(file)?,
        None => settings(global)?.policy,
    };
    let mut printer = Printer { out: BufWriter::new(io::stdout().lock()), files: &args.files, json: global.json, trouble: None };
    let (begin, used) = (Instant::now(), own_usage::cpu_time());
    let (what, read, understood) = match &args.format {
        Recorded::Events => {
            let mut replay = Replay::new(&policy);
            if let Some(directory) = &args.rules {
                let folders = RuleFolders { host: PathBuf::new(), imported: directory.clone() };
                let (rules, problems) = rule_packs::load(&folders, &policy);
                problems.iter().for_each(|problem| print::notice(&format!("refused: {problem}")));
                replay.set_rules(rules, policy.rules.most_per_day);
            }
            match &args.exceptions {
                Some(file) => {
                    let held = replay.set_exceptions(read_exceptions(file)?, &policy, chrono::Utc::now());
                    print::notice(&format!("exceptions in force: {held}; here they hold for the whole recording"));
                }
                None => print::notice("judged without exceptions: --exceptions FILE holds them (`bartizan exceptions list --json`)"),
            }
            if let Some(directory) = &args.indicators {
                let folders = IndicatorFolders { host: directory.clone(), data: directory.join("data") };
                replay.set_indicators(indicator_lists::load(&folders, &policy, &Lifeline::default(), chrono::Utc::now()));
            }
            read_all(&args.files, &mut printer, |line, printer| match line {
                Some(line) => replay.line(line, &mut |told| printer.tell(&told)),
                None => replay.next_recording(),
            })?;
            let summary = replay.end(|told| printer.tell(&told));
            printer.summary(&summary);
            ("events", summary.lines, (summary.events, summary.unreadable))
        }
        Recorded::Lines(format) => {
            let mut replay = LogReplay::new(&policy, format.clone());
            read_all(&args.files, &mut printer, |line, printer| match line {
                Some(line) => replay.line(line, &mut |told| printer.tell(&told)),
                None => replay.next_recording(),
            })?;
            let summary = replay.end(|told| printer.tell(&told));
            printer.log_summary(&summary);
            ("lines", summary.lines, (summary.parsed, summary.unparsed))
        }
    };
    printer.end()?;
    let cpu = own_usage::cpu_time().saturating_sub(used).as_secs_f64();
    rate(what, understood.0, begin.elapsed().as_secs_f64(), cpu);
    if understood.0 > 0 || understood.1 == 0 {
        return Ok(Outcome::Done);
    }
    Err(match &args.format {
        Recorded::Events => {
            let mend = "record with `bartizan events --follow --json`, or name the format of a log: --format auto";
            Failure::new(FAILED, format!("no event in what was read; lines: {read}"), mend)
        }
        Recorded::Lines(_) => {
            let mend = "try --format auto, or give the text of the server's log_format: --format '$remote_addr ...'";
            Failure::new(FAILED, format!("no line of this format in what was read; lines: {read}"), mend)
        }
    })
}

/// Hands over each line of each file, and `None` between two files.
fn read_all(files: &[PathBuf], printer: &mut Printer<'_>, mut each: impl FnMut(Option<Line<'_>>, &mut Printer<'_>)) -> Result<(), Failure> {
    for (index, file) in files.iter().enumerate() {
        if index > 0 {
            each(None, printer);
        }
        let fail = |error: &io::Error| cannot_read(file, error);
        let mut lines = Lines::new(opened(file).map_err(|error| fail(&error))?);
        while let Some(line) = lines.next_line().map_err(|error| fail(&error))? {
            each(Some(line), printer);
            if printer.trouble.is_some() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn opened(file: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(match file == Path::new("-") {
        true => Box::new(BufReader::with_capacity(CHUNK, io::stdin().lock())),
        false => Box::new(BufReader::with_capacity(CHUNK, File::open(file)?)),
    })
}

fn read_policy(file: &Path) -> Result<Policy, Failure> {
    let mut text = String::new();
    let read = File::open(file).and_then(|opened| opened.take(LONGEST_POLICY).read_to_string(&mut text));
    read.map_err(|error| cannot_read(file, &error))?;
    Policy::parse(&text, &file.display().to_string()).map_err(Failure::failed)
}

fn read_exceptions(file: &Path) -> Result<Vec<Exception>, Failure> {
    let mut text = String::new();
    let read = File::open(file).and_then(|opened| opened.take(LONGEST_EXCEPTIONS).read_to_string(&mut text));
    read.map_err(|error| cannot_read(file, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        let mend = "write it with `bartizan exceptions list --json`";
        Failure::new(FAILED, format!("{} holds no list of exceptions: {error}", file.display()), mend)
    })
}

fn cannot_read(file: &Path, error: &io::Error) -> Failure {
    use std::os::unix::ffi::OsStrExt;
    let shown = HostText::from(file.as_os_str().as_bytes());
    Failure::new(FAILED, format!("cannot read {shown}: {error}"), "name a file that you can read, or - for standard input")
}

/// How fast it went: on standard error, so that two replays of one recording print the same.
fn rate(what: &str, count: u64, wall: f64, cpu: f64) {
    let per_second = |seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    print::notice(&format!(
        "{count} {what} in {wall:.2} s, {:.0} {what}/s; {cpu:.2} CPU seconds, {:.0} {what}/s per core",
        per_second(wall),
        per_second(cpu)
    ));
}

impl Printer<'_> {
    fn tell(&mut self, told: &Replayed) {
        let (place, signal, incident) = match told {
            Replayed::Signal(place, signal) => (*place, Some(signal), None),
            Replayed::Incident(place, incident) => (*place, None, Some(incident)),
        };
        if self.json {
            return self.document(&Told { file: self.file(place), place: Some(place), signal, incident, summary: None });
        }
        let file = self.file(place).map(|file| format!("{file}:")).unwrap_or_default();
        let what = match told {
            Replayed::Signal(_, s) => {
                let excepted = s.excepted.map(|id| format!(" [excepted by {id}]")).unwrap_or_default();
                format!("{} {} [{}, {}, {}]: {}{excepted}", s.id, s.detector, s.severity, s.stage.noun(), s.confidence, s.sentence)
            }
            Replayed::Incident(_, i) => {
                let stages: Vec<&str> = i.stages.iter().map(|stage| stage.noun()).collect();
                format!("incident {} [{}, {}, {}]: {}", i.id, i.severity, stages.join(" > "), i.confidence, i.sentence)
            }
        };
        self.line(&format!("{file}{}: {what}", place.line));
    }

    fn summary(&mut self, summary: &Summary) {
        if self.json {
            return self.document(&Told { file: None, place: None, signal: None, incident: None, summary: Some(summary) });
        }
        for one in &summary.unreadable_lines {
            let file = self.file(one.place).map(|file| format!("{file}:")).unwrap_or_default();
            self.line(&format!("{file}{}: unreadable: {}", one.place.line, one.why));
        }
        let Summary { lines, events, unreadable, signals, excepted, folded, incidents, forgotten, .. } = summary;
        let excepted = if *excepted > 0 { format!(", {excepted} excepted") } else { String::new() };
        self.line(&format!("{lines} lines, {events} events, {unreadable} unreadable, {signals} signals ({folded} folded{excepted}), {incidents} incidents ({forgotten} forgotten)"));
    }

    fn log_summary(&mut self, summary: &LogSummary) {
        if self.json {
            return match serde_json::to_string(&serde_json::json!({ "summary": summary })) {
                Ok(text) => self.line(&text),
                Err(error) => self.trouble = Some(error.into()),
            };
        }
        for one in &summary.unparsed_lines {
            let file = self.file(one.place).map(|file| format!("{file}:")).unwrap_or_default();
            self.line(&format!("{file}{}: unparsed: {}", one.place.line, one.why));
        }
        let LogSummary { lines, parsed, unparsed, failed_logins, attack_requests, signals, incidents, .. } = summary;
        self.line(&format!("{lines} lines, {parsed} parsed, {unparsed} unparsed, {failed_logins} failed logins, {attack_requests} attack requests, {signals} signals, {incidents} incidents"));
    }

    /// The recording's name, where there are several.
    fn file(&self, place: Place) -> Option<HostText> {
        use std::os::unix::ffi::OsStrExt;
        let file = self.files.get(place.recording).filter(|_| self.files.len() > 1)?;
        Some(HostText::from(file.as_os_str().as_bytes()))
    }

    fn document(&mut self, told: &Told<'_>) {
        match serde_json::to_string(told) {
            Ok(text) => self.line(&text),
            Err(error) => self.trouble = Some(error.into()),
        }
    }

    fn line(&mut self, text: &str) {
        if self.trouble.is_none() {
            self.trouble = writeln!(self.out, "{text}").err();
        }
    }

    fn end(mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        match self.trouble.map_or(flushed, Err) {
            // A reader that went away (`bartizan replay ... | head`) is nobody's failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}
