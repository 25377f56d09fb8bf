//! `bartizan theme check`: whether a theme can be read; needs no agent.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::Global;
use super::outcome::{Failure, Outcome};
use super::print;
use bartizan_config::Theme;
use bartizan_config::contrast::LEAST;
use bartizan_sys::digest::read_bounded;

/// Longest theme file, in bytes: ours have 1 KiB.
const LONGEST: u64 = 64 << 10;

/// What to do with themes.
#[derive(Debug, Args)]
pub(super) struct ThemeArgs {
    /// What to do.
    #[command(subcommand)]
    verb: ThemeVerb,
}

#[derive(Debug, Subcommand)]
enum ThemeVerb {
    /// Check that every text of a theme stands out from its ground (WCAG AA, 4.5 to 1); exit 5 when one does not.
    Check {
        /// A TOML file, or the name of a built-in theme.
        #[arg(value_name = "FILE")]
        file: String,
    },
}

/// One text that is too faint, as JSON.
#[derive(Serialize)]
struct Row {
    role: String,
    contrast: f64,
    least: f64,
}

/// Checks and prints.
pub(super) fn run(global: &Global, args: ThemeArgs) -> Result<Outcome, Failure> {
    let ThemeVerb::Check { file: named } = args.verb;
    let theme = read(&named)?;
    let rows: Vec<Row> = theme.faint().into_iter().map(|one| Row { role: one.what, contrast: one.contrast, least: LEAST }).collect();
    if global.json {
        print::items(&rows)?;
    } else {
        for row in &rows {
            // Cut, not rounded: what fails must not read as if it had passed.
            let shown = (row.contrast * 100.0).floor() / 100.0;
            print::line(&format!("{}: contrast {shown:.2}, below {LEAST} (WCAG AA)", row.role))?;
        }
        if rows.is_empty() {
            print::line(&format!("every text whose colours are known has a contrast of {LEAST} or more (WCAG AA)"))?;
        }
    }
    Ok(if rows.is_empty() { Outcome::Done } else { Outcome::Found })
}

/// A built-in theme by its name, else the file.
fn read(named: &str) -> Result<Theme, Failure> {
    if Theme::names().any(|name| name == named) {
        return Theme::named(named).map_err(|error| Failure::usage(error.to_string(), ""));
    }
    let unreadable = |why: String| Failure::failed(format!("cannot read the theme {}: {why}", named.escape_debug()));
    let bytes = read_bounded(Path::new(named), LONGEST).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    let shown: String = named.escape_debug().collect();
    Theme::parse(&text, &shown).map_err(|error| Failure::usage(error.to_string(), "themes/ in the repository has complete ones to copy"))
}
