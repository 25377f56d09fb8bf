//! The command line: reads it, does it, and ends with the exit code that the contract promises.

mod act_args;
mod acting;
mod agent;
mod alerts;
mod args;
mod ask;
mod baseline;
mod detectors;
mod doctor;
mod exceptions;
mod explain_line;
mod fail2ban;
mod fim;
mod findings;
mod generate;
mod hook;
mod indicators;
mod logs;
mod outcome;
mod place;
mod print;
mod redteam;
mod reference;
mod replay;
mod rules;
mod scan;
mod screenshots;
mod taken_jails;
mod theme;

pub use reference::{Page, pages};

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Verb};
use logs::{LogsArgs, LogsVerb};
use outcome::{Failure, Outcome};

/// Runs the program.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and usage to the right stream; a closed pipe is nobody's failure.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * outcome::USAGE);
        }
    };
    let json = cli.global.json;
    match dispatch(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(outcome::FOUND),
        Ok(Outcome::Code(code)) => ExitCode::from(code),
        Err(failure) => {
            print::failure(&failure, json);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(cli: Cli) -> Result<Outcome, Failure> {
    let Cli { global, headless, view, verb } = cli;
    match verb {
        None if headless => agent::headless(&global),
        None => agent::console(&global, view.as_deref()),
        Some(_) if headless => Err(Failure::usage("--headless runs the agent and takes no verb", "write `bartizan --headless`")),
        Some(Verb::Attach(args)) => agent::attach(&global, args, view.as_deref()),
        Some(Verb::Relay) => agent::relay(&global),
        Some(Verb::Alerts(args)) => alerts::run(&global, args),
        Some(Verb::Doctor) => doctor::examine(&global),
        Some(Verb::Screenshots { directory, columns, rows }) => screenshots::write(&global, &directory, columns, rows),
        Some(Verb::Logs(LogsArgs { verb: Some(LogsVerb::ImportFail2ban(args)), .. })) => fail2ban::import(&global, &args),
        Some(Verb::Replay(args)) => replay::replay(&global, &args),
        Some(Verb::Rules(args)) => rules::run(&global, args),
        Some(Verb::Detectors(args)) => detectors::run(&global, args),
        Some(Verb::Theme(args)) => theme::run(&global, args),
        Some(Verb::Indicators(args)) => indicators::run(&global, args),
        Some(Verb::Logs(LogsArgs { verb: Some(LogsVerb::Explain(args)), .. })) => explain_line::explain(&global, &args),
        Some(Verb::Fim(args)) => fim::run(&global, args),
        Some(Verb::Baseline(args)) => baseline::run(&global, args),
        Some(Verb::Scan(args)) => scan::run(&global, args),
        Some(Verb::Findings(args)) => findings::run(&global, args),
        Some(Verb::Report(args)) => findings::report(&global, &args),
        Some(Verb::Hook(args)) => hook::run(&global, args),
        Some(Verb::Redteam { verb }) => redteam::run(&global, verb),
        Some(Verb::Stage) => redteam::stage(),
        Some(Verb::Worker) => match bartizan_worker::serve(bartizan_worker::LogParser) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => Err(Failure::failed(format!("the process that reads logs ends: {error}"))),
        },
        Some(Verb::Watchdog { directories }) => match bartizan_guard::watchdog::serve(&directories) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => Err(Failure::failed(format!("the watchdog cannot start: {error}"))),
        },
        Some(Verb::Completions { shell }) => generate::completions(shell),
        Some(Verb::KernelObject) => generate::kernel_object(),
        Some(Verb::Man) => generate::man(),
        Some(Verb::EmergencyScript) => generate::emergency_script(),
        Some(Verb::EmergencyStop) => ask::emergency_stop(&global),
        Some(Verb::Audit { verb: Some(args::AuditVerb::Verify) }) => ask::audit_verify(&global),
        Some(verb @ Verb::Audit { verb: Some(args::AuditVerb::Show { .. }) | None }) => ask::ask(&global, verb),
        Some(
            verb @ (Verb::Status { .. }
            | Verb::Logs(_)
            | Verb::Events(_)
            | Verb::Signals { .. }
            | Verb::Incidents { .. }
            | Verb::Explain { .. }
            | Verb::Ack { .. }
            | Verb::Approvals { .. }
            | Verb::Approve { .. }
            | Verb::Reject { .. }
            | Verb::Actions { .. }
            | Verb::Rollback { .. }
            | Verb::Act(_)
            | Verb::Copies { .. }
            | Verb::Exceptions(_)
            | Verb::Confirm { .. }
            | Verb::Mode { .. }
            | Verb::Feedback { .. }
            | Verb::Reload
            | Verb::Upgrade
            | Verb::Stop),
        ) => ask::ask(&global, verb),
    }
}
