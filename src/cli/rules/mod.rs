//! `bartizan rules`: lists, shows, tests, imports and switches Sigma rules; needs no agent.

mod import;
mod list;
mod test;
mod why;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::Global;
use super::ask::settings;
use super::outcome::{Failure, Outcome};
use bartizan_agent::rule_packs;
use bartizan_config::{RuleFolders, Settings};
use bartizan_rules::{BadRule, RuleSet, Switches};

/// What to do with rules.
#[derive(Debug, Args)]
pub(super) struct RulesArgs {
    /// What to do; without it, the rules are listed.
    #[command(subcommand)]
    verb: Option<RulesVerb>,
}

#[derive(Debug, Subcommand)]
enum RulesVerb {
    /// List rules; those switched off too.
    List {
        /// Only rules of this ATT&CK technique, by its id of today or an older one.
        #[arg(long, value_name = "ID")]
        technique: Option<String>,
    },
    /// Show one rule: what it detects, who does the same without harm, and whether it is evaluated.
    Show {
        /// Key or id of the rule.
        rule: String,
    },
    /// Test rule files against the examples beside them (NAME.examples.jsonl); without FILE, all rules of this host.
    Test {
        /// Rule files.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Import the rules below DIR; a bad one is refused by name, the others are imported.
    Import {
        /// Folder of Sigma rules.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Switch rules on again.
    Enable {
        /// Keys or ids of rules.
        #[arg(required = true)]
        rules: Vec<String>,
    },
    /// Switch rules off; they stay listed.
    Disable {
        /// Keys or ids of rules.
        #[arg(required = true)]
        rules: Vec<String>,
    },
    /// List for each rule whether it is evaluated on this host, and if not, why.
    Coverage,
    /// Explain which rules match an event and why: events as JSON, one a line, as `bartizan events --json` prints them.
    Why {
        /// File of events; - is standard input.
        #[arg(value_name = "EVENTS")]
        events: PathBuf,
        /// Explain this rule alone, part by part.
        #[arg(long, value_name = "RULE")]
        rule: Option<String>,
    },
}

/// The rules of this host, and where they lie.
pub(super) struct Loaded {
    pub(super) folders: RuleFolders,
    pub(super) set: RuleSet,
    /// Rules that policy.toml switches off.
    pub(super) policy: Switches,
    pub(super) problems: Vec<BadRule>,
}

/// Does what was asked.
pub(super) fn run(global: &Global, args: RulesArgs) -> Result<Outcome, Failure> {
    let settings = settings(global)?;
    let json = global.json;
    match args.verb.unwrap_or(RulesVerb::List { technique: None }) {
        RulesVerb::List { technique } => list::list(&load(&settings), technique.as_deref(), json),
        RulesVerb::Show { rule } => list::show(&load(&settings), &rule, json),
        RulesVerb::Coverage => list::coverage(&load(&settings), json),
        RulesVerb::Test { files } if files.is_empty() => test::all(&load(&settings), json),
        RulesVerb::Test { files } => test::files(&files, json),
        RulesVerb::Import { directory } => import::import(&load(&settings), &directory, json),
        RulesVerb::Enable { rules } => import::switch(&load(&settings), &rules, true, json),
        RulesVerb::Disable { rules } => import::switch(&load(&settings), &rules, false, json),
        RulesVerb::Why { events, rule } => why::why(&load(&settings), &events, rule.as_deref(), json),
    }
}

fn load(settings: &Settings) -> Loaded {
    let folders = RuleFolders::of(settings);
    let (set, problems) = rule_packs::load(&folders, &settings.policy);
    let policy = Switches { off: settings.policy.rules.off.iter().cloned().collect() };
    Loaded { folders, set, policy, problems }
}
