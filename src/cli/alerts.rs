//! `alerts`: what people were told, where they are told, and whether messages arrive there.

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::args::{Global, Verb};
use super::ask::{ask, runtime, settings, socket};
use super::outcome::{Failure, NO_AGENT, Outcome};
use super::print::{self, safe, table};
use bartizan_client::Connection;
use bartizan_model::{SinkRow, SinkTest, Timestamp};
use bartizan_protocol::{Reply, Request};
use bartizan_sys::own_usage;

/// What to do with alerts.
#[derive(Debug, Args)]
pub(super) struct AlertsArgs {
    /// What to do; without it, alerts are listed.
    #[command(subcommand)]
    pub(super) verb: Option<AlertsVerb>,
}

/// About the sinks that alerts are sent to.
#[derive(Debug, Subcommand)]
pub(super) enum AlertsVerb {
    /// List the sinks: how each is, what waits for it, and why it failed.
    Sinks,
    /// Send a test message to one sink or to all, and print what came back; fails with code 5 when one did not take it. Works without an
    /// agent too.
    Test {
        /// The name of a sink in agent.toml; all of them without it.
        sink: Option<String>,
    },
}

/// Does what was asked.
pub(super) fn run(global: &Global, args: AlertsArgs) -> Result<Outcome, Failure> {
    match args.verb {
        None | Some(AlertsVerb::Sinks) => ask(global, Verb::Alerts(args)),
        Some(AlertsVerb::Test { sink }) => test(global, sink),
    }
}

/// The question that the agent is asked.
pub(super) fn request(args: &AlertsArgs) -> Request {
    match &args.verb {
        None => Request::Alerts,
        Some(AlertsVerb::Sinks) => Request::Sinks,
        Some(AlertsVerb::Test { sink }) => Request::TestSinks { sink: sink.clone() },
    }
}

fn test(global: &Global, sink: Option<String>) -> Result<Outcome, Failure> {
    let asked = runtime()?.block_on(async {
        let mut connection = Connection::open(&socket(global)?).await?;
        Ok::<Reply, Failure>(connection.ask(Request::TestSinks { sink: sink.clone() }).await?)
    });
    let tests = match asked {
        Ok(Reply::SinkTests(tests)) => tests,
        Ok(Reply::Refused(refusal)) => return Err(refusal.into()),
        Ok(_) => return Err(Failure::failed("unexpected answer from the agent: use the client of the same version")),
        Err(failure) if failure.code == NO_AGENT => alone(global, sink.as_deref())?,
        Err(failure) => return Err(failure),
    };
    let is_well = tests.iter().all(|test| test.taken);
    print::reply(&Reply::SinkTests(tests), global.json, false)?;
    Ok(if is_well { Outcome::Done } else { Outcome::Found })
}

/// Without an agent, this process sends them itself.
fn alone(global: &Global, sink: Option<&str>) -> Result<Vec<SinkTest>, Failure> {
    let settings = settings(global)?;
    let chosen = settings.alerts.chosen(sink).map_err(|(why, mend)| Failure::usage(why, &mend))?;
    if !global.json {
        writeln!(io::stderr(), "no agent answers on {}: sending from this process", settings.socket.display())?;
    }
    Ok(bartizan_outbound::test_all(&chosen, &own_usage::host_name(), chrono::Utc::now()))
}

/// Sinks as a table; the reasons of failures below it.
pub(super) fn write_sinks(out: &mut impl Write, sinks: &[SinkRow]) -> io::Result<()> {
    if sinks.is_empty() {
        return writeln!(out, "no sink is configured: only the console shows alerts; write [[alerts.sinks]] into agent.toml");
    }
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), print::time);
    let rows: Vec<[String; 8]> = sinks
        .iter()
        .map(|sink| {
            [
                safe(&sink.name),
                sink.state.name().to_owned(),
                sink.sent.to_string(),
                sink.folded.to_string(),
                sink.waiting.to_string(),
                sink.given_up.to_string(),
                time(sink.sent_at),
                safe(&sink.place),
            ]
        })
        .collect();
    table::write(out, ["SINK", "STATE", "SENT", "FOLDED", "WAITING", "GIVEN UP", "LAST SENT (UTC)", "WHERE"], &rows)?;
    let failed = sinks.iter().filter_map(|sink| Some((sink, sink.error.as_ref()?)));
    failed.into_iter().try_for_each(|(sink, why)| {
        let next = sink.retry_at.map(|at| ("next attempt at", at)).or(sink.next_at.map(|at| ("next message due at", at)));
        let again = next.map(|(what, at)| format!("; {what} {} UTC", print::time(at))).unwrap_or_default();
        writeln!(out, "{}: {}{again}", safe(&sink.name), safe(why))
    })
}

/// What came back from test messages, a line for each.
pub(super) fn write_tests(out: &mut impl Write, tests: &[SinkTest]) -> io::Result<()> {
    tests.iter().try_for_each(|test| {
        let word = if test.taken { "took it" } else { "DID NOT TAKE IT" };
        writeln!(out, "{} ({}) {word} after {} ms: {}", safe(&test.name), safe(&test.place), test.took_ms, safe(&test.answer))
    })
}
