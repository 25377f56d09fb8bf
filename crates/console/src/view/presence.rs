//! "While you were away": what happened while nobody looked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{clock, count, span};
use crate::paint::Paint;
use crate::state::State;
use crate::widgets::{Tone, TonedLine, draw_lines, popup, wrap_toned};

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let Some(away) = &state.mirror.presence else { return };
    let mut lines = Vec::new();
    if let Some(since) = away.away_since {
        lines.push(TonedLine::new(Tone::Muted, format!("since {}, {} ago", clock(state, since), span(state.now - since))));
        lines.push(TonedLine::new(Tone::Plain, ""));
    }
    let rows = [
        ("events", away.events, Tone::Plain),
        ("incidents", away.incidents, Tone::Danger),
        ("alerts", away.alerts, Tone::Warning),
        ("actions taken", away.actions, Tone::Plain),
        ("questions lapsed", away.lapsed, Tone::Warning),
    ];
    lines.extend(
        rows.into_iter()
            .map(|(label, n, tone)| TonedLine::labelled(format!("{label:<18}"), if n == 0 { Tone::Muted } else { tone }, count(n))),
    );
    lines.extend([TonedLine::new(Tone::Plain, ""), TonedLine::new(Tone::Muted, "esc closes this")]);
    let lines = wrap_toned(&lines, 36);
    let high = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inside = popup(buf, area, 40, high, "While you were away", paint.accent, paint);
    draw_lines(buf, inside, &lines, 0, paint);
}
