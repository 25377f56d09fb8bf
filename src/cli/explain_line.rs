//! `logs explain`: one line of a log through the parsers and detectors of the agent, and what each made of it. No agent is asked, nothing written.

use std::io::{self, BufReader, Read, Write};

use clap::Args;

use super::args::{Global, host_text, line_format};
use super::ask::settings;
use super::outcome::{Failure, Outcome};
use bartizan_agent::replay::{LineFormat, Lines, LogReplay};
use bartizan_model::HostText;

/// Which line.
#[derive(Debug, Args)]
pub(super) struct ExplainLineArgs {
    /// The line as it stands in the log; - reads lines from standard input, and counts go on from one to the next.
    #[arg(value_name = "LINE", value_parser = host_text)]
    line: HostText,
    /// How it is written: auto, auth, access, auditd, journal, docker, nginx-error, apache-error, a service (sshd: the message alone is
    /// enough), or the text of a `log_format`.
    #[arg(long, value_name = "FORMAT", value_parser = line_format, default_value = "auto")]
    format: LineFormat,
}

/// Explains a line, or those of standard input.
pub(super) fn explain(global: &Global, args: &ExplainLineArgs) -> Result<Outcome, Failure> {
    let mut replay = LogReplay::new(&settings(global)?.policy, args.format.clone());
    let mut out = io::stdout().lock();
    if args.line != *"-" {
        return tell(&mut out, global.json, &mut replay, args.line.as_bytes()).map(|()| Outcome::Done);
    }
    let stdin: Box<dyn Read> = Box::new(io::stdin().lock());
    let mut lines = Lines::new(BufReader::new(stdin));
    while let Some(line) = lines.next_line()? {
        let written = match line {
            bartizan_agent::replay::Line::Text(text) => tell(&mut out, global.json, &mut replay, text.trim_ascii_end()),
            bartizan_agent::replay::Line::TooLong => tell(&mut out, global.json, &mut replay, &[]),
        };
        match written {
            Ok(()) if !global.json => writeln!(out)?,
            other => other?,
        }
    }
    Ok(Outcome::Done)
}

fn tell(out: &mut impl Write, json: bool, replay: &mut LogReplay, line: &[u8]) -> Result<(), Failure> {
    let explained = replay.explain(line);
    let text = if json { serde_json::to_string(&explained).map_err(Failure::failed)? } else { explained.to_string() };
    match writeln!(out, "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
