//! What a rule cannot match without: literals of which at least one stands in the text of every event that it matches.

use rsigma_parser::value::StringPart;
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SelectorPattern, SigmaValue};

use super::Route;
use super::field::is_searched;

/// Shorter literals stand in every other command.
const SHORTEST: usize = 3;
/// More alternatives than this cost more than they save.
const MAX_LITERALS: usize = 512;

/// Modifiers that turn a value into something else than text that stands in the event.
const OPAQUE: &[Modifier] = &[
    Modifier::Re,
    Modifier::Base64,
    Modifier::Base64Offset,
    Modifier::Wide,
    Modifier::Utf16be,
    Modifier::Utf16,
    Modifier::WindAsh,
    Modifier::Cidr,
    Modifier::Exists,
    Modifier::Expand,
    Modifier::FieldRef,
    Modifier::Gt,
    Modifier::Gte,
    Modifier::Lt,
    Modifier::Lte,
    Modifier::Neq,
];

/// The literals, in lower case; `None`: nothing can be said beforehand.
pub(crate) fn of(detections: &Detections, route: Route) -> Option<Vec<String>> {
    let finder = Finder { detections, route };
    any(detections.conditions.iter().map(|condition| finder.condition(condition)))
}

struct Finder<'a> {
    detections: &'a Detections,
    route: Route,
}

/// What must stand where one of these holds: all that any needs.
fn any(needs: impl Iterator<Item = Option<Vec<String>>>) -> Option<Vec<String>> {
    let mut out = Vec::new();
    for need in needs {
        out.extend(need?);
        if out.len() > MAX_LITERALS {
            return None;
        }
    }
    (!out.is_empty()).then_some(out)
}

/// What must stand where all of these hold: what is needed by the one that says most, judged by its shortest literal.
fn all(needs: impl Iterator<Item = Option<Vec<String>>>) -> Option<Vec<String>> {
    let telling = |need: &Vec<String>| (need.iter().map(String::len).min().unwrap_or_default(), usize::MAX - need.len());
    needs.flatten().max_by_key(telling)
}

impl Finder<'_> {
    fn condition(&self, condition: &ConditionExpr) -> Option<Vec<String>> {
        match condition {
            ConditionExpr::And(parts) => all(parts.iter().map(|part| self.condition(part))),
            ConditionExpr::Or(parts) => any(parts.iter().map(|part| self.condition(part))),
            ConditionExpr::Not(_) => None,
            ConditionExpr::Identifier(name) => self.detection(self.detections.named.get(name)?),
            ConditionExpr::Selector { quantifier, pattern } => {
                let mut each = selected(self.detections, pattern).map(|detection| self.detection(detection));
                match quantifier {
                    Quantifier::All => all(&mut each),
                    Quantifier::Any => any(&mut each),
                    Quantifier::Count(0) => None,
                    Quantifier::Count(_) => any(&mut each),
                }
            }
        }
    }

    fn detection(&self, detection: &Detection) -> Option<Vec<String>> {
        match detection {
            Detection::AllOf(items) => all(items.iter().map(|item| self.item(item))),
            Detection::AnyOf(parts) => any(parts.iter().map(|part| self.detection(part))),
            Detection::And(parts) => all(parts.iter().map(|part| self.detection(part))),
            Detection::Keywords(words) => any(words.iter().map(literal)),
            Detection::ArrayMatch { .. } | Detection::Conditional { .. } => None,
        }
    }

    fn item(&self, item: &DetectionItem) -> Option<Vec<String>> {
        let searched = item.field.name.as_ref().is_none_or(|name| is_searched(self.route, name));
        if !searched || item.field.modifiers.iter().any(|modifier| OPAQUE.contains(modifier)) {
            return None;
        }
        if item.values.iter().any(|value| matches!(value, SigmaValue::String(text) if is_everywhere(&text.original))) {
            return None;
        }
        let each = item.values.iter().map(literal);
        if item.field.has_modifier(Modifier::All) { all(each) } else { any(each) }
    }
}

/// Kinds of audit record, and a call, of which every program's start makes one.
fn is_everywhere(value: &str) -> bool {
    ["EXECVE", "SYSCALL", "PATH", "CWD"].iter().any(|kind| kind.eq_ignore_ascii_case(value))
}

/// The detections that a pattern selects.
pub(crate) fn selected<'a>(detections: &'a Detections, pattern: &'a SelectorPattern) -> impl Iterator<Item = &'a Detection> {
    let wanted = move |name: &str| match pattern {
        SelectorPattern::Them => !name.starts_with('_'),
        SelectorPattern::Pattern(glob) => match glob.split_once('*') {
            Some((head, tail)) => {
                name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail.trim_start_matches('*'))
            }
            None => name == glob,
        },
    };
    detections.named.iter().filter(move |(name, _)| wanted(name)).map(|(_, detection)| detection)
}

/// The longest run of plain ASCII of a value: that much must stand as it is. Other letters have more than two cases.
fn literal(value: &SigmaValue) -> Option<Vec<String>> {
    let SigmaValue::String(text) = value else { return None };
    let plain = text.parts.iter().filter_map(|part| if let StringPart::Plain(plain) = part { Some(plain) } else { None });
    let runs = plain.flat_map(|plain| plain.split(|c: char| !c.is_ascii() || c == '\n' || c == '\r'));
    let longest = runs.max_by_key(|run| run.len())?;
    (longest.len() >= SHORTEST).then(|| vec![longest.to_ascii_lowercase()])
}
