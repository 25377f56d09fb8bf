//! Answers as a person reads them.

use std::io::{self, Write};

use super::super::{alerts, baseline, exceptions};
use super::{safe, table};
use bartizan_model::{
    Alert, AlertState, Approval, AuditEntry, Budget, Check, CheckState, Event, EventKind, Explanation, FileBackup, Flow, Gap, Health,
    Incident, LogState, Loss, Messages, Preview, Rung, Signal, Source, Timestamp, Watched,
};
use bartizan_protocol::Reply;
use bartizan_redteam::Report;

/// Writes one answer.
pub(super) fn write(out: &mut impl Write, reply: &Reply) -> io::Result<()> {
    match reply {
        Reply::Hello(hello) => writeln!(out, "bartizan {} as {}", safe(&hello.agent), hello.role),
        Reply::Done(message) => writeln!(out, "{}", safe(message)),
        Reply::Health(health) => write_health(out, health),
        Reply::Checks(checks) => write_checks(out, checks),
        Reply::Events(events) => events.iter().try_for_each(|event| writeln!(out, "{}", event_line(event))),
        Reply::Signals(signals) => write_signals(out, signals),
        Reply::Incidents(incidents) => write_incidents(out, incidents),
        Reply::Explanation(explanation) => write_explanation(out, explanation),
        Reply::Alerts(alerts) => write_alerts(out, alerts),
        Reply::Sinks(sinks) => alerts::write_sinks(out, sinks),
        Reply::SinkTests(tests) => alerts::write_tests(out, tests),
        Reply::Approvals(approvals) => approvals
            .iter()
            .try_for_each(|approval| write_approval(out, approval))
            .and_then(|()| none(out, approvals, "nothing waits for approval")),
        Reply::Actions(actions) => super::actions::write(out, actions, chrono::Utc::now()),
        Reply::Preview(preview) => write_preview(out, preview),
        Reply::Audit(entries) => write_audit(out, entries),
        Reply::Logs(logs) => super::logs::write(out, logs, chrono::Utc::now()),
        Reply::Attackers(attackers) => super::logs::write_attackers(out, attackers),
        Reply::Copies(copies) => write_copies(out, copies),
        Reply::Exceptions(rows) => exceptions::write(out, rows, chrono::Utc::now()),
        Reply::FileDiff(said) => {
            writeln!(out, "{}", safe(said.change.as_deref().unwrap_or("it is as the baseline knows it")))?;
            said.diff.iter().flat_map(|diff| diff.lines()).try_for_each(|line| writeln!(out, "{}", safe(line)))
        }
        Reply::Findings(page) => writeln!(out, "{}", safe(&page.verdict)),
        Reply::ExceptionPreview(preview) => exceptions::write_preview(out, preview),
        Reply::BaselineStatus(status) => baseline::write_status(out, status, chrono::Utc::now()),
        Reply::Habits(habits) => baseline::write_habits(out, habits),
        Reply::BaselineReview(review) => baseline::write_review(out, review),
        Reply::BaselineVersions(versions) => baseline::write_versions(out, versions),
        Reply::HabitChanges(changes) => baseline::write_changes(out, changes),
        Reply::Target(target) => writeln!(out, "{}", safe(&target.to_string())),
        // The connection keeps it: nobody else has a use for it.
        Reply::Pass(_) => Ok(()),
        Reply::AuditVerdict(verdict) => {
            let word = if verdict.intact { "intact" } else { "BROKEN" };
            let place = verdict.broken_at.map(|seq| format!(" at line {seq}")).unwrap_or_default();
            writeln!(out, "audit log {word}{place}: {} lines; {}", verdict.entries, safe(&verdict.detail))
        }
        Reply::Refused(refusal) => writeln!(out, "{}; {}", safe(&refusal.message), safe(&refusal.mend)),
    }
}

fn none<T>(out: &mut impl Write, items: &[T], words: &str) -> io::Result<()> {
    if items.is_empty() { writeln!(out, "{words}") } else { Ok(()) }
}

pub(super) fn clock(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// How far learning what is normal has come.
fn learning(part: Option<f64>) -> String {
    match part {
        None => "off".to_owned(),
        Some(part) if part < 1.0 => format!("{:.0} % of the time to learn what is normal here", (part * 100.0).floor()),
        Some(_) => "done; `bartizan baseline` shows what is normal here".to_owned(),
    }
}

fn write_copies(out: &mut impl Write, copies: &[FileBackup]) -> io::Result<()> {
    let row = |copy: &FileBackup| {
        let now = if copy.differs { "differs" } else { "same" };
        [
            copy.copy.get(..8).unwrap_or(&copy.copy).to_owned(),
            clock(copy.at),
            size(copy.bytes),
            now.to_owned(),
            safe(&copy.path.to_string()),
        ]
    };
    let rows: Vec<[String; 5]> = copies.iter().map(row).collect();
    table::write(out, ["COPY", "KEPT (UTC)", "SIZE", "FILE NOW", "FILE"], &rows)?;
    none(out, copies, "no backups")
}

/// Bytes as people read them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn write_health(out: &mut impl Write, health: &Health) -> io::Result<()> {
    writeln!(
        out,
        "{} on {} (bartizan {}, pid {}, Linux {})",
        health.mode,
        safe(&health.host),
        health.version,
        health.pid,
        safe(&health.kernel)
    )?;
    writeln!(out, "standing  {}", health.posture.standing())?;
    writeln!(out, "sensors   {}{}, watching since {} UTC", health.rung.noun(), object(health), clock(health.watching_since))?;
    writeln!(out, "hour      {}", health.last_hour(health.at, 60).into_iter().map(Watched::letter).collect::<String>())?;
    writeln!(out, "learning  {}", learning(health.learning))?;
    writeln!(out, "events    {:.1}/s, {} since start, {} lost", health.events_per_second, health.events_total, health.lost())?;
    writeln!(out, "latency   {}", health.urgent_latency)?;
    writeln!(
        out,
        "cost      {:.1} % of a core, {} resident, {} on disk",
        health.cpu_percent,
        size(health.rss_bytes),
        size(health.store_bytes)
    )?;
    writeln!(out, "budget    {}", budget(&health.budget))?;
    let counts = &health.counts;
    writeln!(
        out,
        "counts    {} processes, {} open incidents, {} new alerts, {} questions, {} active actions{}",
        counts.processes,
        counts.open_incidents,
        counts.new_alerts,
        counts.pending_approvals,
        counts.active_actions,
        if counts.undo_pending > 0 { format!(", {} UNDO PENDING", counts.undo_pending) } else { String::new() }
    )?;
    write_logs(out, health)?;
    write_messages(out, &health.messages)?;
    for hop in &health.hops {
        writeln!(out, "hop       {}: {} in, {} lost", safe(&hop.hop), hop.received, hop.dropped)?;
    }
    for gap in &health.gaps {
        writeln!(out, "gap       {}", gap_line(gap))?;
    }
    for spot in &health.blind_spots {
        writeln!(out, "blind     {}: {}; {}", safe(&spot.what), safe(&spot.why), safe(&spot.mend))?;
    }
    health.degraded.iter().try_for_each(|part| writeln!(out, "degraded  {}", safe(part)))
}

/// What people were told elsewhere; nothing where nobody is.
fn write_messages(out: &mut impl Write, messages: &Messages) -> io::Result<()> {
    let Messages { sinks, lost_sinks, waiting, sent, folded, given_up } = messages;
    if *sinks == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "told      {sent} sent to {sinks} sinks ({folded} of them folded), {waiting} waiting, {given_up} given up, {lost_sinks} sinks lost"
    )
}

/// How many logs are read, and each that is not though it should be.
fn write_logs(out: &mut impl Write, health: &Health) -> io::Result<()> {
    let count = |of: fn(LogState) -> bool| health.logs.iter().filter(|log| of(log.state)).count();
    let lines: u64 = health.logs.iter().map(|log| log.lines).sum();
    writeln!(out, "logs      {} followed, {} dead, {lines} lines read", count(LogState::is_read), count(LogState::is_dead))?;
    let dead = health.logs.iter().filter(|log| log.state.is_dead());
    dead.into_iter().try_for_each(|log| {
        let why = log.trouble.as_ref().map(|why| format!(": {}", safe(why))).unwrap_or_default();
        writeln!(out, "DEAD LOG  {} is {}{why}", safe(&log.name.to_string()), log.state)
    })
}

/// How the kernel programs were made, where they are in use.
fn object(health: &Health) -> String {
    if health.rung == Rung::Ebpf { format!(" ({} object)", health.bpf_object) } else { String::new() }
}

fn budget(budget: &Budget) -> String {
    let given_up =
        if budget.given_up.is_empty() { "nothing given up".to_owned() } else { format!("gave up {}", budget.given_up.join(", ")) };
    format!("at most {:.0} % of a core and {}; {}", budget.max_cpu_percent, size(budget.max_rss_bytes), safe(&given_up))
}

fn gap_line(gap: &Gap) -> String {
    let when = if gap.is_from_ever() { format!("until {}", clock(gap.to)) } else { format!("{} to {}", clock(gap.from), clock(gap.to)) };
    let lost = if gap.count > 0 { format!("{} events ", gap.count) } else { String::new() };
    format!("{when} UTC  {lost}{}", safe(&gap.why))
}

fn write_checks(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    for check in checks {
        let state = match check.state {
            CheckState::Works => "works   ",
            CheckState::Degraded => "DEGRADED",
            CheckState::Missing => "MISSING ",
        };
        writeln!(out, "{state}  {}: {}", safe(&check.name), safe(&check.detail))?;
        if !check.mend.is_empty() {
            writeln!(out, "          hint: {}", safe(&check.mend))?;
        }
    }
    Ok(())
}

/// One event on one line: when, which, who, what.
pub(super) fn event_line(event: &Event) -> String {
    let who = match &event.process {
        Some(process) => format!("{}[{}] uid {}", process.name(), process.pid, process.uid),
        None if event.source == Source::Agent => "bartizan".to_owned(),
        None if event.source == Source::Logs => "a log".to_owned(),
        None => "unknown process".to_owned(),
    };
    let what = match &event.kind {
        EventKind::Exec => event.process.as_ref().map(|p| p.command()).unwrap_or_default(),
        EventKind::Fork => String::new(),
        EventKind::Exit { exit } => match (exit.code, exit.signal) {
            (_, Some(signal)) => format!("killed by signal {signal}"),
            (Some(code), None) => format!("status {code}"),
            (None, None) => "status unknown".to_owned(),
        },
        EventKind::Connect { net } => match (net.dst, net.dport) {
            (Some(dst), Some(port)) => {
                let name = net.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
                format!("to {}{name}", std::net::SocketAddr::new(dst, port))
            }
            _ => String::new(),
        },
        EventKind::Listen { net, unit } => {
            let unit = unit.as_ref().map(|unit| format!(" for {}", safe(&unit.name))).unwrap_or_default();
            format!("on {}{unit}", std::net::SocketAddr::new(net.src, net.sport))
        }
        EventKind::Accept { net } => endpoints(net),
        EventKind::Close { net, traffic } => {
            format!("{}: {} sent, {} received", endpoints(net), size(traffic.sent), size(traffic.received))
        }
        EventKind::FileChange { file } | EventKind::FileOpen { file } | EventKind::PersistenceChange { file } => {
            let made = |maker: &bartizan_model::Process| format!(" in a directory that {}[{}] had just made", maker.name(), maker.pid);
            let nearby = file.directory_by.as_deref().map(made).unwrap_or_default();
            let other = file.other.as_ref().map(|other| format!(" ({other})")).unwrap_or_default();
            let mode = file.attributes.map(|now| format!(", mode {:04o}", now.mode)).unwrap_or_default();
            let differs = file.integrity.as_ref().map(|told| format!(": {}", safe(&told.sentence))).unwrap_or_default();
            format!("{} {}{other}{mode}{}{differs}", file.change.verb(), file.path, safe(&nearby))
        }
        EventKind::UserChange { account } => format!("{} {:?}", account.user, account.change),
        EventKind::PrivilegeUse { privilege } => privilege.to_string(),
        EventKind::ContainerStart { container } | EventKind::ContainerStop { container } => {
            let given: Vec<&str> = container.reach.iter().map(|reach| reach.noun()).collect();
            let given = if given.is_empty() { String::new() } else { format!(", given {}", given.join(", ")) };
            format!("{} {} from {}{given}", safe(&container.runtime), container.name, container.image)
        }
        EventKind::LoginAccepted { auth } | EventKind::LoginFailed { auth } => safe(&auth.to_string()),
        EventKind::WebAttack { web } => safe(&web.to_string()),
        EventKind::Alarm { alarm } => safe(&alarm.to_string()),
        EventKind::Budget { budget } => {
            let given_up = if budget.given_up.is_empty() { "nothing".to_owned() } else { budget.given_up.join(", ") };
            format!("level {}, given up: {}; {}", budget.level, safe(&given_up), safe(&budget.why))
        }
        EventKind::Loss { loss } => loss_words(loss),
    };
    let cut = if event.complete { "" } else { " (incomplete)" };
    format!("{}  {}  {:<18}  {who}  {what}{cut}", event.at.format("%H:%M:%S%.3f"), event.id, event.kind.name())
}

/// The two ends of a connection, the local one first.
fn endpoints(net: &Flow) -> String {
    let far = net.dst.zip(net.dport).map(|(dst, port)| std::net::SocketAddr::new(dst, port).to_string()).unwrap_or_default();
    format!("{} and {far}", std::net::SocketAddr::new(net.src, net.sport))
}

/// A stretch that nobody counted says why nobody watched; else how many of what were lost where, and when.
fn loss_words(loss: &Loss) -> String {
    let kinds: Vec<String> = loss.kinds.iter().map(|(kind, count)| format!("{count} {}", safe(kind))).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let what = if loss.count == 0 { safe(&loss.hop) } else { format!("{} events lost at {}{kinds}", loss.count, safe(&loss.hop)) };
    match (loss.from, loss.to) {
        (Some(from), Some(to)) => format!("{what}, {} to {}", from.format("%H:%M:%S%.3f"), to.format("%H:%M:%S%.3f")),
        _ => what,
    }
}

fn write_signals(out: &mut impl Write, signals: &[Signal]) -> io::Result<()> {
    let rows: Vec<[String; 6]> = signals
        .iter()
        .map(|s| {
            let techniques = s.technique.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            [clock(s.at), s.id.to_string(), s.severity.to_string(), safe(&techniques), s.confidence.to_string(), told(s)]
        })
        .collect();
    table::write(out, ["AT (UTC)", "ID", "SEVERITY", "TECHNIQUE", "SURE", "WHAT"], &rows)?;
    none(out, signals, "no signals")
}

/// What a signal says, and the exception that keeps it from counting.
fn told(signal: &Signal) -> String {
    let excepted = signal.excepted.map(|id| format!(" [excepted by {id}]")).unwrap_or_default();
    safe(&signal.sentence) + &excepted
}

fn write_incidents(out: &mut impl Write, incidents: &[Incident]) -> io::Result<()> {
    let rows: Vec<[String; 7]> = incidents
        .iter()
        .map(|i| {
            let stages = i.stages.iter().map(|stage| stage.noun()).collect::<Vec<_>>().join(" > ");
            let complete = if i.complete { "complete" } else { "INCOMPLETE" };
            [
                i.id.to_string(),
                clock(i.updated),
                i.severity.to_string(),
                i.confidence.to_string(),
                stages,
                complete.to_owned(),
                safe(&i.sentence),
            ]
        })
        .collect();
    table::write(out, ["ID", "UPDATED (UTC)", "SEVERITY", "SURE", "STAGES", "EVIDENCE", "WHAT"], &rows)?;
    none(out, incidents, "no incidents")
}

fn write_explanation(out: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    writeln!(out, "{}", explanation.incident)?;
    let parts = [
        ("What was seen", &explanation.seen),
        ("Why it scores so", &explanation.why),
        ("What would lower it", &explanation.lower),
        ("What was done", &explanation.done),
        ("How to undo it", &explanation.undo),
    ];
    for (title, lines) in parts {
        writeln!(out, "\n{title}")?;
        lines.iter().try_for_each(|line| writeln!(out, "  - {}", safe(line)))?;
        if lines.is_empty() {
            writeln!(out, "  nothing")?;
        }
    }
    writeln!(out, "\nEvidence\n  {}", safe(&explanation.evidence))
}

fn write_alerts(out: &mut impl Write, alerts: &[Alert]) -> io::Result<()> {
    let rows: Vec<[String; 7]> = alerts
        .iter()
        .map(|a| {
            let state = if a.state == AlertState::New { "new" } else { "seen" };
            [
                a.id.to_string(),
                clock(a.updated),
                a.severity.to_string(),
                state.to_owned(),
                a.incident.to_string(),
                a.count.to_string(),
                safe(&a.sentence),
            ]
        })
        .collect();
    table::write(out, ["ID", "UPDATED (UTC)", "SEVERITY", "STATE", "INCIDENT", "SIGNALS", "WHAT"], &rows)?;
    none(out, alerts, "no alerts")
}

fn write_approval(out: &mut impl Write, approval: &Approval) -> io::Result<()> {
    let state = format!("{:?}", approval.state).to_lowercase();
    writeln!(
        out,
        "{}  {state}  {} for {} (incident {}, sure {})",
        approval.id,
        safe(&approval.action.to_string()),
        humantime::format_duration(approval.action.lasts()),
        approval.incident,
        approval.confidence
    )?;
    writeln!(out, "    why         {}", safe(&approval.reason))?;
    writeln!(out, "    held        {}", safe(&approval.held_because))?;
    write_preview(out, &approval.preview)?;
    writeln!(out, "    lapses      {} UTC", clock(approval.expires_at))
}

fn write_preview(out: &mut impl Write, preview: &Preview) -> io::Result<()> {
    preview.steps.iter().try_for_each(|step| writeln!(out, "    would       {}", safe(step)))?;
    writeln!(out, "    touches     {}", safe(&preview.blast_radius))?;
    if !preview.stays.is_empty() {
        writeln!(out, "    stays open  {}", safe(&preview.stays))?;
    }
    preview.undo.iter().try_for_each(|step| writeln!(out, "    undone by   {}", safe(step)))
}

fn write_audit(out: &mut impl Write, entries: &[AuditEntry]) -> io::Result<()> {
    let rows: Vec<[String; 6]> = entries
        .iter()
        .map(|e| {
            [e.seq.to_string(), clock(e.body.at), safe(&e.body.actor), safe(&e.body.what), safe(&e.body.subject), safe(&e.body.detail)]
        })
        .collect();
    table::write(out, ["#", "AT (UTC)", "WHO", "WHAT", "ABOUT", "DETAIL"], &rows)
}

/// What the sparring partner found, as a person reads it.
pub(in crate::cli) fn redteam_report(report: &Report) -> io::Result<()> {
    write!(io::stdout().lock(), "{}", report.table())
}
