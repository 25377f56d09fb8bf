//! Two errors of rsigma-eval 0.23.0, both silent, repaired before and beside it.
//!
//! - `startswith` and `endswith` with a wildcard inside the value put the anchor on the wrong side: such an item is rewritten as
//!   the plain pattern that it means.
//! - Wildcards do not cross a newline, so that a command of two lines evades a rule: line ends in what is matched become spaces.

use std::borrow::Cow;

use bartizan_model::HostText;
use rsigma_parser::value::{SpecialChar, StringPart};
use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaRule, SigmaValue};

/// Longest text of one field that a rule sees, in bytes: what lies behind it was chosen to be long.
pub(crate) const MAX_TEXT: usize = 32 << 10;

/// Rewrites anchors around wildcards.
pub(crate) fn anchors(rule: &mut SigmaRule) {
    rule.detection.named.values_mut().for_each(within);
}

fn within(detection: &mut Detection) {
    match detection {
        Detection::AllOf(items) => items.iter_mut().for_each(item),
        Detection::AnyOf(inner) | Detection::And(inner) => inner.iter_mut().for_each(within),
        Detection::ArrayMatch { body, .. } => within(body),
        Detection::Conditional { named, .. } => named.values_mut().for_each(within),
        Detection::Keywords(_) => {}
    }
}

fn item(item: &mut DetectionItem) {
    let (starts, ends) = (item.field.has_modifier(Modifier::StartsWith), item.field.has_modifier(Modifier::EndsWith));
    let wild = |value: &SigmaValue| matches!(value, SigmaValue::String(text) if text.parts.iter().any(|part| matches!(part, StringPart::Special(_))));
    if !(starts || ends) || item.field.has_modifier(Modifier::Re) || !item.values.iter().any(wild) {
        return;
    }
    item.field.modifiers.retain(|modifier| !matches!(modifier, Modifier::StartsWith | Modifier::EndsWith));
    for value in &mut item.values {
        let SigmaValue::String(text) = value else { continue };
        if starts {
            text.parts.push(StringPart::Special(SpecialChar::WildcardMulti));
            text.original.push('*');
        }
        if ends {
            text.parts.insert(0, StringPart::Special(SpecialChar::WildcardMulti));
            text.original.insert(0, '*');
        }
    }
}

/// Text of the host as rules see it: without line ends, bounded; what is not UTF-8 becomes U+FFFD.
pub(crate) fn clean(text: &HostText) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    if text.bytes().any(|byte| byte == b'\n' || byte == b'\r') { Cow::Owned(text.replace(['\n', '\r'], " ")) } else { text }
}

#[cfg(test)]
mod tests {
    use rsigma_eval::JsonEvent;

    use super::*;

    fn rule(item: &str) -> String {
        format!("title: t\nlogsource: {{product: linux}}\ndetection:\n  s:\n    exe{item}\n  condition: s\n")
    }

    /// Whether ours matches, and whether the other engine does.
    fn both(item: &str, text: &str) -> (bool, bool) {
        let yaml = rule(item);
        let mut parsed = rsigma_parser::parse_sigma_yaml(&yaml).unwrap().rules.remove(0);
        anchors(&mut parsed);
        let compiled = rsigma_eval::compile_rule(&parsed).unwrap();
        let seen = serde_json::json!({ "exe": clean(&HostText::from(text.as_bytes())) });
        let ours = rsigma_eval::evaluate_rule(&compiled, &JsonEvent::borrow(&seen)).is_some();
        let whole = serde_json::json!({ "exe": text }).to_string();
        let other = sigma_rust::rule_from_yaml(&yaml).unwrap().is_match(&sigma_rust::event_from_json(&whole).unwrap());
        (ours, other)
    }

    #[test]
    fn anchors_hold_around_wildcards() {
        let cases = [
            ("|startswith: '/home/*/public_html/'", "/home/x/public_html/s.php", true),
            ("|startswith: '/home/*/public_html/'", "EVIL/home/x/public_html/", false),
            ("|startswith: ['/home/*/x/', '/opt/']", "/opt/y", true),
            ("|startswith: ['/home/*/x/', '/opt/']", "/srv/opt/y", false),
            ("|endswith: '/bin/*sh'", "/usr/bin/dash", true),
            ("|endswith: '/bin/*sh'", "/usr/bin/dash --tail", false),
            ("|endswith: '/b?n/sh'", "/usr/bin/sh", true),
            ("|startswith: '/plain/'", "/plain/x", true),
            ("|endswith: '/plain'", "/plain/x", false),
        ];
        for (item, text, expected) in cases {
            assert_eq!(both(item, text), (expected, expected), "exe{item} on {text}");
        }
    }

    #[test]
    fn a_command_of_two_lines_evades_nothing() {
        for item in ["|contains: 'a*b'", ": '*a?b*'", "|startswith: 'x*b'", "|contains: 'b'"] {
            assert!(both(item, "xa\nby").0, "exe{item}");
            assert!(both(item, "xa\rby").0, "exe{item}");
        }
    }
}
