//! The reference pages in `docs/reference/`, written by the program they describe.

use std::fmt::Write as _;

use clap::CommandFactory;

use super::args::Cli;
use bartizan_config::{agent, keymap, policy};
use bartizan_detect::detectors;
use bartizan_protocol::{Field, Request};
use bartizan_rules::{Route, fields};

/// One generated page: file name and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Name in `docs/reference/`.
    pub file: &'static str,
    /// Markdown.
    pub text: String,
}

/// Every generated page. A test fails when one in the repository differs.
pub fn pages() -> Vec<Page> {
    let configuration = |title: &str, what: &str, text: &str| format!("# {title}\n\n{what}\n\n```toml\n{text}```\n");
    vec![
        Page { file: "cli.md", text: command_line() },
        Page {
            file: "agent.md",
            text: configuration(
                "agent.toml",
                "Where the agent keeps its files, who may talk to it, what it stores. The values shown are the defaults.",
                agent::DEFAULT,
            ),
        },
        Page {
            file: "policy.md",
            text: configuration(
                "policy.toml",
                "What counts as evidence, how much, and what may be done about it. The values shown are the defaults.",
                policy::DEFAULT,
            ),
        },
        Page {
            file: "keys.md",
            text: configuration(
                "keymap.toml",
                "Every command of the console and its keys. The values shown are the defaults.",
                &keymap::reference(),
            ),
        },
        Page { file: "detectors.md", text: detectors() },
        Page { file: "filter.md", text: filter() },
        Page { file: "sigma-fields.md", text: sigma_fields() },
    ]
}

fn command_line() -> String {
    let mut out = String::from("# Command line\n\nPrinted by `bartizan --help` and `bartizan VERB --help`.\n");
    let mut root = Cli::command();
    root.build();
    let _ = writeln!(out, "\n```text\n{}```", plain(&mut root));
    for verb in root.get_subcommands_mut().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        let (name, help) = (verb.get_name().to_owned(), plain(verb));
        let _ = writeln!(out, "\n## {name}\n\n```text\n{help}```");
    }
    let _ = writeln!(out, "\n## Roles\n\nThe role that each request needs: {}.", roles());
    out
}

fn plain(command: &mut clap::Command) -> String {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

/// A few telling ones; the rest follows the same rule.
fn roles() -> String {
    let examples = [Request::Status, Request::EmergencyStop, Request::Stop];
    examples.iter().map(|request| format!("`{}` {}", request.name(), request.needs())).collect::<Vec<_>>().join(", ")
}

fn filter() -> String {
    let mut out = String::from(
        "# Fields of events\n\nThe fields that `bartizan events --where` knows, by their names in `events --json`. How to write a filter: [archive](../archive.md#filters).\n\n\
         | field | compared as | what it is |\n|--|--|--|\n",
    );
    for field in Field::ALL {
        let _ = writeln!(out, "| `{}` | {} | {} |", field.name(), field.form().noun(), field.meaning());
    }
    out
}

fn sigma_fields() -> String {
    let mut out = String::from(
        "# Fields of Sigma rules\n\nWhat a rule can ask for on each log source, and from which field of our events (`events --json`) it comes. A part of a rule that asks for anything else never matches, and `bartizan rules coverage` says so. More: [rules](../rules.md).\n",
    );
    for route in Route::ALL {
        let _ = writeln!(out, "\n## {}\n\nFrom {}.\n\n| field | what it holds |\n|--|--|", route.name(), route.events());
        for field in fields(route) {
            let _ = writeln!(out, "| `{}` | {} |", field.name, field.meaning);
        }
    }
    out
}

fn detectors() -> String {
    let mut out = String::from(
        "# Detectors\n\nEach detector is one file in `crates/detect/src/detectors/`. Only stable ones may lead to automatic actions; each family of evidence counts once, by its weight in policy.toml.\n",
    );
    for info in detectors::full_catalogue() {
        let _ = writeln!(out, "\n## {}\n\n`{}`: {}\n", info.title, info.name, info.meaning);
        let _ = writeln!(out, "| technique | family | stage | tier | severity | sure |\n|--|--|--|--|--|--|");
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {:.2} |\n",
            info.technique.join(", "),
            info.family.name(),
            info.stage.noun(),
            format!("{:?}", info.tier).to_lowercase(),
            info.severity,
            info.confidence
        );
        let _ = writeln!(out, "False positives: {}\n\nHow to quiet it: {}", info.false_positives, info.quiet);
    }
    out
}
