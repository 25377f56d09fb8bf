//! `bartizan exceptions`: what a person says is harmless here; the agent keeps it.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::args::{duration, host_text};
use super::print::table;
use bartizan_model::{
    Exception, ExceptionId, ExceptionPreview, ExceptionScope, HostText, ServiceRole, Sha256, Timestamp, parse_network, sentence,
};
use bartizan_protocol::{ExceptionRequest, Request};

/// What to do with exceptions.
#[derive(Debug, Args)]
pub(super) struct ExceptionsArgs {
    /// What to do; without it, the exceptions are listed.
    #[command(subcommand)]
    verb: Option<ExceptionsVerb>,
}

#[derive(Debug, Subcommand)]
enum ExceptionsVerb {
    /// List exceptions, those that are over too.
    List,
    /// Show what an exception would have hidden in the last 30 days; nothing is added.
    Preview(ScopeArgs),
    /// Add an exception: signals like these are recorded, and raise no alert and no action.
    Add {
        #[command(flatten)]
        scope: ScopeArgs,
        /// Why it is harmless, for the audit log.
        #[arg(long)]
        reason: String,
        /// How long it holds, at most 366d.
        #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "30d")]
        lasts: Duration,
    },
    /// End an exception now.
    Remove {
        /// Which exception: X4.
        id: ExceptionId,
        /// Reason, for the audit log.
        #[arg(long, default_value = "by hand")]
        reason: String,
    },
}

/// To what an exception is bound: all of these must hold.
#[derive(Debug, Args)]
struct ScopeArgs {
    /// Only signals of this detector (credential_read) or rule (rule:KEY).
    #[arg(long = "of", value_name = "NAME")]
    source: Option<String>,
    /// Path of the executable; only root may be able to change it.
    #[arg(long, value_name = "PATH", value_parser = host_text)]
    exe: Option<HostText>,
    /// SHA-256 of the executable.
    #[arg(long, value_name = "SHA256")]
    digest: Option<Sha256>,
    /// Package that owns the executable.
    #[arg(long, value_name = "NAME", value_parser = host_text)]
    package: Option<HostText>,
    /// Below a service of this kind: web-server, database, scheduler, login-session ...
    #[arg(long, value_name = "ROLE", value_parser = role)]
    below: Option<ServiceRole>,
    /// systemd unit of the system.
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
    /// User that the process runs as.
    #[arg(long, value_name = "NAME", value_parser = host_text)]
    user: Option<HostText>,
    /// Remote address or network.
    #[arg(long, value_name = "ADDRESS", value_parser = network)]
    address: Option<IpNet>,
}

impl From<&ScopeArgs> for ExceptionScope {
    fn from(args: &ScopeArgs) -> Self {
        let ScopeArgs { source, exe, digest, package, below, unit, user, address } = args;
        Self {
            source: source.clone(),
            exe: exe.clone(),
            sha256: *digest,
            package: package.clone(),
            below: *below,
            unit: unit.clone(),
            user: user.clone(),
            address: *address,
        }
    }
}

fn role(text: &str) -> Result<ServiceRole, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

fn network(text: &str) -> Result<IpNet, String> {
    parse_network(text).ok_or_else(|| "write an address or a network: 203.0.113.7, 192.0.2.0/24".to_owned())
}

/// The question that the words stand for.
pub(super) fn request(args: &ExceptionsArgs) -> Request {
    let request = match &args.verb {
        None | Some(ExceptionsVerb::List) => ExceptionRequest::List,
        Some(ExceptionsVerb::Preview(scope)) => ExceptionRequest::Preview { scope: scope.into() },
        Some(ExceptionsVerb::Add { scope, reason, lasts }) => {
            ExceptionRequest::Add { scope: scope.into(), reason: reason.clone(), lasts: *lasts }
        }
        Some(ExceptionsVerb::Remove { id, reason }) => ExceptionRequest::Remove { id: *id, reason: reason.clone() },
    };
    Request::Exceptions(Box::new(request))
}

/// A table of exceptions.
pub(super) fn write(out: &mut impl Write, exceptions: &[Exception], now: Timestamp) -> io::Result<()> {
    let row = |one: &Exception| {
        [
            one.id.to_string(),
            one.standing(now).to_owned(),
            one.until.format("%Y-%m-%d %H:%M").to_string(),
            sentence(&one.author),
            sentence(&one.scope.to_string()),
            sentence(&one.reason),
        ]
    };
    let rows: Vec<[String; 6]> = exceptions.iter().map(row).collect();
    table::write(out, ["ID", "STATE", "UNTIL (UTC)", "BY", "EXCEPTED", "WHY"], &rows)?;
    if exceptions.is_empty() { writeln!(out, "no exceptions") } else { Ok(()) }
}

/// What an exception would have hidden.
pub(super) fn write_preview(out: &mut impl Write, preview: &ExceptionPreview) -> io::Result<()> {
    let ExceptionPreview { days, compared, hidden, acted_on, other_kind, unknown, examples } = preview;
    let look = if *acted_on > 0 || *other_kind > 0 { ": look" } else { "" };
    writeln!(
        out,
        "would have hidden {hidden} of {compared} signals of {days} days, {acted_on} of them acted on, {other_kind} of another kind{look}"
    )?;
    if *unknown > 0 {
        writeln!(out, "{unknown} more could not be compared: their events are no longer archived, or there are too many")?;
    }
    let row = |one: &bartizan_model::Signal| {
        [one.at.format("%Y-%m-%d %H:%M:%S").to_string(), one.id.to_string(), sentence(&one.detector), sentence(&one.sentence)]
    };
    let rows: Vec<[String; 4]> = examples.iter().map(row).collect();
    table::write(out, ["AT (UTC)", "ID", "DETECTOR", "WHAT"], &rows)
}
