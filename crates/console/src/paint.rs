//! A theme as the screen wants it: styles by meaning and the characters that may be drawn.

use ratatui::style::{Color, Modifier, Style};

use bartizan_config::theme::{Colour, Look};
use bartizan_config::{Glyphs, Theme};
use bartizan_model::{ActionState, IncidentState, Mode, Posture, Severity, Watched};

/// Characters of the screen's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GlyphSet {
    pub cursor: &'static str,
    pub ellipsis: &'static str,
    pub full: &'static str,
    pub empty: &'static str,
    pub rule: &'static str,
    pub upright: &'static str,
    pub corners: [&'static str; 4],
    pub left: &'static str,
    pub right: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub tee: &'static str,
    pub elbow: &'static str,
    pub trunk: &'static str,
    pub folded: &'static str,
    pub bar: [&'static str; 2],
    pub spark: [&'static str; 8],
    pub dot: &'static str,
    /// A stretch of time that was watched wholly, with losses, not at all, or of which nothing is known.
    pub watched: [&'static str; 4],
}

const UNICODE: GlyphSet = GlyphSet {
    cursor: "▌",
    ellipsis: "…",
    full: "●",
    empty: "○",
    rule: "─",
    upright: "│",
    corners: ["╭", "╮", "╰", "╯"],
    left: "◂",
    right: "▸",
    up: "▴",
    down: "▾",
    tee: "├─",
    elbow: "└─",
    trunk: "│ ",
    folded: "▸",
    bar: ["━", "─"],
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    dot: "·",
    watched: ["━", "!", "x", "·"],
};

const ASCII: GlyphSet = GlyphSet {
    cursor: ">",
    ellipsis: "~",
    full: "*",
    empty: "o",
    rule: "-",
    upright: "|",
    corners: ["+", "+", "+", "+"],
    left: "<",
    right: ">",
    up: "^",
    down: "v",
    tee: "|-",
    elbow: "`-",
    trunk: "| ",
    folded: "+",
    bar: ["=", "-"],
    spark: ["_", "_", ".", ".", "-", "=", "*", "#"],
    dot: "-",
    watched: ["=", "!", "x", "."],
};

/// Styles by meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    pub base: Style,
    pub muted: Style,
    pub title: Style,
    pub border: Style,
    pub accent: Style,
    pub selected: Style,
    pub strip: Style,
    pub good: Style,
    pub notice: Style,
    pub warning: Style,
    pub danger: Style,
    pub critical: Style,
    pub glyphs: GlyphSet,
}

impl Paint {
    pub(crate) fn new(theme: &Theme) -> Self {
        Self {
            base: style(theme.base),
            muted: style(theme.muted),
            title: style(theme.title),
            border: style(theme.border),
            accent: style(theme.accent),
            selected: style(theme.selected),
            strip: style(theme.strip),
            good: style(theme.good),
            notice: style(theme.notice),
            warning: style(theme.warning),
            danger: style(theme.danger),
            critical: style(theme.critical),
            glyphs: match theme.glyphs {
                Glyphs::Unicode => UNICODE,
                Glyphs::Ascii => ASCII,
            },
        }
    }

    pub(crate) fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Info => self.muted,
            Severity::Low => self.notice,
            Severity::Medium => self.warning,
            Severity::High => self.danger,
            Severity::Critical => self.critical,
        }
    }

    pub(crate) fn mode(&self, mode: Mode) -> Style {
        match mode {
            Mode::Paranoid => self.good,
            Mode::Balanced => self.notice,
            Mode::Aggressive => self.warning,
        }
    }

    pub(crate) fn posture(&self, posture: Posture) -> Style {
        match posture {
            Posture::Observe => self.good,
            Posture::Contain => self.warning,
            Posture::AggressiveContain => self.danger,
            Posture::Lockdown => self.critical,
        }
    }

    pub(crate) fn action(&self, state: ActionState) -> Style {
        match state {
            ActionState::Live => self.good,
            ActionState::Planned | ActionState::Applying => self.notice,
            ActionState::Drifted | ActionState::Unknown => self.critical,
            ActionState::Failed => self.danger,
            ActionState::Expired | ActionState::RolledBack => self.muted,
        }
    }

    /// How a stretch of time is drawn.
    pub(crate) fn watched(&self, watched: Watched) -> (&'static str, Style) {
        let [wholly, lossy, not, unknown] = self.glyphs.watched;
        match watched {
            Watched::Wholly => (wholly, self.good),
            Watched::Lossy => (lossy, self.warning),
            Watched::Not => (not, self.danger),
            Watched::Unknown => (unknown, self.muted),
        }
    }

    pub(crate) fn incident(&self, state: IncidentState) -> Style {
        match state {
            IncidentState::Open => self.danger,
            IncidentState::Contained => self.good,
            IncidentState::Acknowledged => self.base,
            IncidentState::Closed => self.muted,
        }
    }
}

fn style(look: Look) -> Style {
    // Whole in itself but for the ground: what was painted before must not shine through.
    let mut style = Style::new().fg(colour(look.fg)).remove_modifier(Modifier::all());
    if look.bg != Colour::Default {
        style = style.bg(colour(look.bg));
    }
    for (wanted, modifier) in
        [(look.bold, Modifier::BOLD), (look.dim, Modifier::DIM), (look.underline, Modifier::UNDERLINED), (look.reverse, Modifier::REVERSED)]
    {
        if wanted {
            style = style.add_modifier(modifier);
        }
    }
    style
}

fn colour(colour: Colour) -> Color {
    match colour {
        Colour::Default => Color::Reset,
        Colour::Indexed(index) => Color::Indexed(index),
        Colour::Rgb(r, g, b) => Color::Rgb(r, g, b),
    }
}
