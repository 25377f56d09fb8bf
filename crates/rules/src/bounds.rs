//! What a rule may cost: bounds on its text, checked before any parser sees it.

use rsigma_parser::{Detection, Modifier, SigmaRule, SigmaValue};

use super::{anchors, growth};

/// Longest rule file, in bytes. The longest of SigmaHQ has 25 KiB.
pub const MAX_RULE_BYTES: usize = 64 << 10;
/// Most files of all packs together.
pub const MAX_FILES: usize = 20_000;
/// Most rules in one set. SigmaHQ has 3,754 for all products.
pub const MAX_RULES: usize = 10_000;
/// Most values in all of a rule's detections.
const MAX_VALUES: usize = 5_000;
/// Most memory that one compiled regular expression may take, in bytes.
const MAX_REGEX: usize = 1 << 20;

/// What is wrong with this text before it is parsed.
pub(crate) fn text(text: &str) -> Result<(), String> {
    if text.len() > MAX_RULE_BYTES {
        return Err(format!("{} bytes: a rule file has at most {MAX_RULE_BYTES}", text.len()));
    }
    anchors::check(text)?;
    growth::check(text)
}

/// What is wrong with this rule before it is compiled.
pub(crate) fn rule(rule: &SigmaRule) -> Result<(), String> {
    let mut values = 0;
    for detection in rule.detection.named.values() {
        check(detection, &mut values)?;
    }
    Ok(())
}

fn check(detection: &Detection, values: &mut usize) -> Result<(), String> {
    match detection {
        Detection::AllOf(items) => items.iter().try_for_each(|item| {
            *values += item.values.len();
            if item.field.has_modifier(Modifier::Re) {
                item.values.iter().try_for_each(regex)?;
            }
            Ok::<(), String>(())
        })?,
        Detection::AnyOf(inner) | Detection::And(inner) => inner.iter().try_for_each(|one| check(one, values))?,
        Detection::Keywords(words) => *values += words.len(),
        Detection::ArrayMatch { body, .. } => check(body, values)?,
        Detection::Conditional { named, .. } => named.values().try_for_each(|one| check(one, values))?,
    }
    if *values > MAX_VALUES { Err(format!("more than {MAX_VALUES} values")) } else { Ok(()) }
}

fn regex(value: &SigmaValue) -> Result<(), String> {
    let SigmaValue::String(pattern) = value else { return Ok(()) };
    let built = regex::RegexBuilder::new(&pattern.original).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).nest_limit(50).build();
    built.map(drop).map_err(|error| {
        let words = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        format!("regular expression {:?}: {words}", pattern.original.chars().take(60).collect::<String>())
    })
}
