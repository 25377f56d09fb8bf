//! What the guard sees, loses and costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{bytes, clock, count, span};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::widgets::{Tone, TonedLine, draw_lines, rule, wrap_toned};
use bartizan_model::{Budget, CheckState, Health, LogSource, LogState, Rung};

pub(super) fn page(_: Rect, _: &State) -> u16 {
    // The cursor of a text is its first line.
    1
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let lines = lines(state);
    let inside = rule(
        buf,
        area,
        "Health",
        &state.mirror.health.as_ref().map(|health| format!("measured {}", clock(state, health.at))).unwrap_or_default(),
        paint,
    );
    let keys = rows::keys(state);
    let cells = usize::from(inside.width.saturating_sub(2));
    let top = state.list().place(&keys, 1).offset;
    let before = wrap_toned(lines.get(..top).unwrap_or_default(), cells).len();
    let lines = wrap_toned(&lines, cells);
    let offset = before.min(lines.len().saturating_sub(usize::from(inside.height)));
    draw_lines(buf, Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside }, &lines, offset, paint);
}

/// The whole text, before it is broken into lines.
pub(crate) fn lines(state: &State) -> Vec<TonedLine> {
    let Some(health) = &state.mirror.health else { return Vec::new() };
    let mut lines = facts(state, health);
    section(&mut lines, "Coverage");
    lines.extend(super::coverage::bar(state, health));
    section(&mut lines, "Degraded");
    if health.degraded.is_empty() {
        lines.push(TonedLine::labelled("  ", Tone::Good, "every part works"));
    }
    lines.extend(health.degraded.iter().map(|line| TonedLine::labelled("  ", Tone::Warning, line.clone())));
    section(&mut lines, "Logs");
    lines.extend(logs(state, health));
    section(&mut lines, "Lost on the way");
    let widest = health.hops.iter().map(|hop| hop.hop.len()).max().unwrap_or_default().max(13);
    lines.extend(health.hops.iter().map(|hop| {
        TonedLine::labelled(
            format!("  {:<widest$}  ", hop.hop),
            if hop.dropped > 0 { Tone::Danger } else { Tone::Plain },
            format!("{} lost of {}", count(hop.dropped), count(hop.received)),
        )
    }));
    section(&mut lines, "Not seen");
    if health.blind_spots.is_empty() {
        lines.push(TonedLine::labelled("  ", Tone::Good, "no known blind spot"));
    }
    for spot in &health.blind_spots {
        lines.push(TonedLine::labelled("  ", Tone::Warning, format!("{}: {}", spot.what, spot.why)));
        lines.push(TonedLine::labelled("    hint  ", Tone::Plain, spot.mend.clone()));
    }
    section(&mut lines, "Gaps");
    lines.extend(super::coverage::gaps(state, health));
    if let Some(checks) = &state.checks {
        section(&mut lines, "Self-test");
        for check in checks {
            let (noun, tone) = match check.state {
                CheckState::Works => ("works", Tone::Good),
                CheckState::Degraded => ("degraded", Tone::Warning),
                CheckState::Missing => ("missing", Tone::Danger),
            };
            lines.push(TonedLine::labelled(format!("  {:<26}", check.name), tone, format!("{noun:<9} {}", check.detail)));
            if !check.mend.is_empty() {
                lines.push(TonedLine::labelled("    hint  ", Tone::Plain, check.mend.clone()));
            }
        }
    }
    lines
}

/// A row for each log, those that nobody reads first.
fn logs(state: &State, health: &Health) -> Vec<TonedLine> {
    if health.logs.is_empty() {
        return vec![TonedLine::labelled("  ", Tone::Warning, "no log is followed; name one in agent.toml with [[logs]]")];
    }
    let mut logs: Vec<&LogSource> = health.logs.iter().collect();
    logs.sort_by_key(|log| (!log.state.is_dead(), log.state == LogState::Off));
    logs.into_iter().map(|log| log_row(state, log)).collect()
}

fn log_row(state: &State, log: &LogSource) -> TonedLine {
    let tone = match log.state {
        LogState::Off => Tone::Plain,
        LogState::Behind => Tone::Warning,
        state if state.is_dead() => Tone::Danger,
        _ => Tone::Good,
    };
    let lag = log.lag.filter(|lag| *lag > 0).map(|lag| format!(", {} behind", bytes(lag))).unwrap_or_default();
    let last = log.last_line.map(|at| format!(", last {}", clock(state, at))).unwrap_or_default();
    let read = if log.state == LogState::Off {
        String::new()
    } else {
        format!(": {} lines, {} not understood{lag}{last}", count(log.lines), count(log.unparsed))
    };
    let trouble = log.trouble.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    TonedLine::labelled(format!("  {:<13}", log.state.noun()), tone, format!("{}{read}{trouble}", log.name))
}

fn section(lines: &mut Vec<TonedLine>, title: &str) {
    lines.extend([TonedLine::new(Tone::Plain, ""), TonedLine::new(Tone::Title, title)]);
}

fn budget(budget: &Budget) -> String {
    let given_up =
        if budget.given_up.is_empty() { "nothing given up".to_owned() } else { format!("gave up {}", budget.given_up.join(", ")) };
    format!("at most {:.0}% of one core and {}; {given_up}", budget.max_cpu_percent, bytes(budget.max_rss_bytes))
}

fn facts(state: &State, health: &Health) -> Vec<TonedLine> {
    let fact = |label: &str, tone, text: String| TonedLine::labelled(format!("  {label:<15}"), tone, text);
    let object = if health.rung == Rung::Ebpf { format!(" ({} object)", health.bpf_object) } else { String::new() };
    let mut lines = vec![
        TonedLine::new(Tone::Title, "Guard"),
        fact("sensors", if health.rung == Rung::Ebpf { Tone::Good } else { Tone::Warning }, format!("{}{object}", health.rung.noun())),
        fact(
            "watching",
            Tone::Plain,
            format!("{} without a gap, since {}", span(state.now - health.watching_since), clock(state, health.watching_since)),
        ),
        fact("mode", Tone::Plain, format!("{}: {}", health.mode, health.mode.meaning())),
        fact("events", Tone::Plain, format!("{} in all, {:.0} a second", count(health.events_total), health.events_per_second)),
        fact("latency", Tone::Plain, health.urgent_latency.to_string()),
        fact(
            "cost",
            Tone::Plain,
            format!("{:.1}% of one core, {} of memory, {} on disk", health.cpu_percent, bytes(health.rss_bytes), bytes(health.store_bytes)),
        ),
        fact("budget", if health.budget.level > 0 { Tone::Warning } else { Tone::Plain }, budget(&health.budget)),
        fact("program", Tone::Plain, format!("bartizan {}, pid {}, kernel {}", health.version, health.pid, health.kernel)),
    ];
    if let Some(learnt) = health.learning {
        lines.push(fact(
            "learning",
            Tone::Plain,
            if learnt < 1.0 {
                format!("{:.0} % of the time to learn what is normal here", (learnt * 100.0).floor())
            } else {
                "done: what deviates from normal is reported".to_owned()
            },
        ));
    }
    lines
}
