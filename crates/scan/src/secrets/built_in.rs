//! Our own rules: `config/secrets.toml`, carried in the program.

use super::rule::Rule;
use super::rule_file::{self, RuleFileError};

const RULES: &str = include_str!("../../../../config/secrets.toml");

/// The rules that the program carries.
///
/// # Errors
/// Never, as a test shows.
pub fn built_in() -> Result<Vec<Rule>, RuleFileError> {
    rule_file::parse(RULES)
}
