//! No arm catches all that is left of what must be handled one by one: a new request, verb, command or kind of event compiles
//! only when every place that tells them apart says what it does about it.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

use super::reader::{Source, Tree, is_test};

/// The enums: their crate, and their name.
const ONE_BY_ONE: &[(&str, &str)] =
    &[("bartizan_protocol", "Request"), ("crate", "Verb"), ("bartizan_config", "Command"), ("bartizan_model", "EventKind")];

/// Every `match` on one of them with an arm for the rest.
pub fn check(source: &Source, tree: &Tree, out: &mut Vec<String>) {
    // Parsing all once more is worth it only where one of the names stands.
    let named = ONE_BY_ONE.iter().any(|(_, name)| source.text.contains(name));
    if !named || tree.is_for_tests(source.of(), &source.module()) {
        return;
    }
    let Ok(file) = syn::parse_file(&source.text) else { return };
    let mut uses = Uses::default();
    uses.visit_file(&file);
    let mut matches = Matches { found: Vec::new(), of: uses.0 };
    matches.visit_file(&file);
    out.extend(matches.found.into_iter().map(|name| {
        format!("{}: a match on {name} has an arm for all the rest: name them, so that the compiler asks about a new one", source.path)
    }));
}

/// From where a name comes, for names that other crates use too (`notify::EventKind`).
#[derive(Default)]
struct Uses(BTreeMap<String, String>);

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree {
            self.name(&path.tree, &path.ident.to_string());
        }
    }
}

impl Uses {
    fn name(&mut self, tree: &syn::UseTree, from: &str) {
        match tree {
            syn::UseTree::Path(path) => self.name(&path.tree, from),
            syn::UseTree::Name(name) => drop(self.0.insert(name.ident.to_string(), from.to_owned())),
            syn::UseTree::Rename(rename) => drop(self.0.insert(rename.rename.to_string(), from.to_owned())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.name(item, from)),
            syn::UseTree::Glob(_) => {}
        }
    }
}

struct Matches {
    found: Vec<&'static str>,
    of: BTreeMap<String, String>,
}

impl<'ast> Visit<'ast> for Matches {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_match(&mut self, item: &'ast syn::ExprMatch) {
        let named = item.arms.iter().find_map(|arm| self.names(&arm.pat));
        let rest = item.arms.iter().any(|arm| arm.guard.is_none() && catches_all(&arm.pat));
        self.found.extend(named.filter(|_| rest));
        visit::visit_expr_match(self, item);
    }
}

impl Matches {
    /// Which of the enums a pattern names, itself or within `Some`.
    fn names(&self, pattern: &syn::Pat) -> Option<&'static str> {
        let path = match pattern {
            syn::Pat::Path(path) => &path.path,
            syn::Pat::Struct(of) => &of.path,
            syn::Pat::TupleStruct(of) if within(of).is_some() => return within(of).and_then(|inner| self.names(inner)),
            syn::Pat::TupleStruct(of) => &of.path,
            syn::Pat::Or(or) => return or.cases.iter().find_map(|case| self.names(case)),
            syn::Pat::Paren(paren) => return self.names(&paren.pat),
            syn::Pat::Reference(reference) => return self.names(&reference.pat),
            syn::Pat::Ident(ident) => return ident.subpat.as_ref().and_then(|(_, inner)| self.names(inner)),
            _ => return None,
        };
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        let owner = parts.len().checked_sub(2).and_then(|at| parts.get(at))?;
        let (from, name) = ONE_BY_ONE.iter().find(|(_, name)| name == owner)?;
        let known = self.of.get(*name).map(String::as_str).or(parts.first().filter(|_| parts.len() > 2).map(String::as_str));
        let ours = known.is_none_or(|known| known == *from || *from == "crate" && known != "bartizan_model" && !known.contains("notify"));
        (ours || matches!(known, Some("super" | "crate" | "self"))).then_some(*name)
    }
}

/// What `Some(..)` or `Ok(..)` holds.
fn within(of: &syn::PatTupleStruct) -> Option<&syn::Pat> {
    let wraps = of.path.segments.last().is_some_and(|last| last.ident == "Some" || last.ident == "Ok");
    of.elems.first().filter(|_| wraps && of.elems.len() == 1)
}

fn catches_all(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Wild(_) => true,
        syn::Pat::Ident(ident) => {
            ident.subpat.is_none() && ident.ident.to_string().starts_with(|first: char| first.is_lowercase() || first == '_')
        }
        syn::Pat::TupleStruct(of) => within(of).is_some_and(catches_all),
        syn::Pat::Paren(paren) => catches_all(&paren.pat),
        syn::Pat::Reference(reference) => catches_all(&reference.pat),
        syn::Pat::Or(or) => or.cases.iter().any(catches_all),
        _ => false,
    }
}
