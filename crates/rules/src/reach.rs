//! Whether a rule can match at all here: which fields it asks for that no record has.

use std::collections::BTreeSet;

use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaValue};

use super::Route;
use super::field::{argument, fields};
use super::literals::selected;

/// The kinds of audit record that follow from our events, their own fields, and the values of those that have few.
const AUDIT_KINDS: &[(&str, &[&str])] = &[
    ("EXECVE", &["type", "argc"]),
    ("SYSCALL", &["type", "SYSCALL", "syscall", "success", "exe", "comm", "pid", "ppid", "uid", "euid", "auid", "tty"]),
    ("PATH", &["type", "name", "nametype"]),
    ("CWD", &["type", "cwd"]),
    ("ADD_USER", &["type", "acct"]),
    ("DEL_USER", &["type", "acct"]),
];
/// Calls that an event of ours stands for.
const CALLS: &[&str] =
    &["execve", "connect", "finit_module", "ptrace", "mount", "setuid", "unshare", "bpf", "kill", "io_uring_setup", "capset", "prctl"];

/// What no record has that the rule asks for, in words; empty when it can be evaluated whole.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// It can match.
    pub(crate) possible: bool,
    /// What is missing for a part of it, or for all.
    pub(crate) missing: BTreeSet<String>,
}

/// How far the rule can be evaluated.
pub(crate) fn of(detections: &Detections, route: Route) -> Reach {
    let kinds: Vec<Option<usize>> = if route == Route::Auditd { (0..AUDIT_KINDS.len()).map(Some).collect() } else { vec![None] };
    let mut best: Option<((bool, bool, bool), Reach)> = None;
    for kind in kinds {
        let mut view = View { detections, route, kind, missing: BTreeSet::new(), other_kind: false };
        let possible = detections.conditions.iter().fold(false, |any, condition| view.condition(condition) | any);
        // Of the kinds that do not fit, the one that the rule names says best what is missing.
        let known = !view.missing.is_empty();
        let rank = (possible, !view.other_kind && known, known);
        if best.as_ref().is_none_or(|(other, _)| rank > *other) {
            best = Some((rank, Reach { possible, missing: view.missing }));
        }
    }
    best.map(|(_, reach)| reach).unwrap_or_default()
}

struct View<'a> {
    detections: &'a Detections,
    route: Route,
    kind: Option<usize>,
    missing: BTreeSet<String>,
    /// The rule asks for another kind of record than this one.
    other_kind: bool,
}

impl View<'_> {
    fn condition(&mut self, condition: &ConditionExpr) -> bool {
        match condition {
            ConditionExpr::And(parts) => parts.iter().fold(true, |every, part| self.condition(part) & every),
            ConditionExpr::Or(parts) => parts.iter().fold(false, |any, part| self.condition(part) | any),
            ConditionExpr::Not(inner) => {
                // What an exception asks for in vain excuses nothing; the rule still matches.
                self.condition(inner);
                true
            }
            ConditionExpr::Identifier(name) => match self.detections.named.get(name) {
                Some(detection) => self.detection(detection),
                None => false,
            },
            ConditionExpr::Selector { quantifier, pattern } => {
                let each: Vec<bool> = selected(self.detections, pattern).map(|detection| self.detection(detection)).collect();
                match quantifier {
                    Quantifier::All => each.iter().all(|one| *one),
                    Quantifier::Any => each.iter().any(|one| *one),
                    Quantifier::Count(count) => each.iter().filter(|one| **one).count() as u64 >= *count,
                }
            }
        }
    }

    fn detection(&mut self, detection: &Detection) -> bool {
        match detection {
            Detection::AllOf(items) => items.iter().fold(true, |every, item| self.item(item) & every),
            Detection::And(parts) => parts.iter().fold(true, |every, part| self.detection(part) & every),
            Detection::AnyOf(parts) => parts.iter().fold(false, |any, part| self.detection(part) | any),
            Detection::Keywords(_) => true,
            Detection::ArrayMatch { field, .. } => self.has(field),
            Detection::Conditional { .. } => true,
        }
    }

    fn item(&mut self, item: &DetectionItem) -> bool {
        let Some(name) = &item.field.name else { return true };
        let absent = item.values.iter().any(|value| matches!(value, SigmaValue::Null | SigmaValue::Bool(false)))
            || item.field.modifiers.contains(&Modifier::Exists)
            || item.field.modifiers.contains(&Modifier::Neq);
        absent || (self.has(name) && self.value(name, item))
    }

    fn has(&mut self, name: &str) -> bool {
        let known = match self.kind.and_then(|kind| AUDIT_KINDS.get(kind)) {
            Some((kind, own)) => own.contains(&name) || (*kind == "EXECVE" && argument(name).is_some()),
            None => fields(self.route).iter().any(|field| field.name == name),
        };
        let elsewhere = self.kind.is_some() && (argument(name).is_some() || AUDIT_KINDS.iter().any(|(_, own)| own.contains(&name)));
        if !known && !elsewhere {
            self.missing.insert(format!("the field {name}"));
        } else if !known {
            self.other_kind = true;
        }
        known
    }

    /// Whether a field of few values ever has one that is asked for.
    fn value(&mut self, name: &str, item: &DetectionItem) -> bool {
        let Some((kind, _)) = self.kind.and_then(|kind| AUDIT_KINDS.get(kind)) else { return true };
        let known: &[&str] = match name {
            "type" => &[kind],
            "SYSCALL" | "syscall" => CALLS,
            _ => return true,
        };
        if !item.field.modifiers.is_empty() {
            return true;
        }
        let asked: Vec<&str> = item
            .values
            .iter()
            .filter_map(|value| if let SigmaValue::String(text) = value { Some(text.original.as_str()) } else { None })
            .collect();
        let fits = asked.iter().any(|asked| asked.contains(['*', '?']) || known.iter().any(|known| known.eq_ignore_ascii_case(asked)));
        if !fits {
            let ours = name == "type" && asked.iter().any(|asked| AUDIT_KINDS.iter().any(|(kind, _)| kind.eq_ignore_ascii_case(asked)));
            self.other_kind |= ours;
            if !ours {
                let what = if name == "type" { "audit records of the kind" } else { "an event for the system call" };
                self.missing.insert(format!("{what} {}", asked.join(" or ")));
            }
        }
        fits
    }
}
