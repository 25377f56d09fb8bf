//! Reads a source file into facts: the full paths it names, and the words that are banned somewhere.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

/// One file of a crate.
pub struct Source {
    /// From the repository's root, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Its crate, and where it lies below the crate's `src/`.
    fn split(&self) -> (&str, &str) {
        let inside = self.path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/"));
        inside.unwrap_or(("bartizan", self.path.trim_start_matches("src/")))
    }

    /// The crate that it belongs to, without `bartizan-`.
    pub fn of(&self) -> &str {
        self.split().0
    }

    /// Whether attributes here are those of a whole crate.
    pub fn is_root(&self) -> bool {
        let inner = self.split().1;
        matches!(inner, "lib.rs" | "main.rs") || inner.starts_with("bin/")
    }

    /// The module's own place in its crate: `crates/sys/src/bpf/mod.rs` is `bpf`, the root is nothing.
    pub fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> = self.split().1.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if self.is_root() || parts.last().is_some_and(|last| last == "mod") {
            parts.pop();
        }
        parts
    }
}

/// All files.
pub struct Tree {
    pub sources: Vec<Source>,
}

impl Tree {
    /// Whether a parent declares this module, or one above it, as `#[cfg(test)] mod name;`.
    pub fn is_for_tests(&self, of: &str, module: &[String]) -> bool {
        (0..module.len()).any(|depth| {
            let (parent, child) = (&module[..depth], &module[depth]);
            self.sources.iter().filter(|source| source.of() == of && source.module() == parent).any(|source| {
                syn::parse_file(&source.text).is_ok_and(|file| {
                    file.items.iter().any(
                        |item| matches!(item, syn::Item::Mod(m) if m.content.is_none() && m.ident == child.as_str() && is_test(&m.attrs)),
                    )
                })
            })
        })
    }
}

/// A type whose definition the bans look at.
pub struct Definition {
    pub name: String,
    pub derives: String,
    pub all_private: bool,
}

/// What a file says.
#[derive(Default)]
pub struct Facts {
    /// Full paths, `use` or not; the flag tells test code.
    pub paths: Vec<(Vec<String>, bool)>,
    /// Calls and macros that can end the process, outside tests.
    pub shouts: Vec<String>,
    /// `allow` attributes outside tests.
    pub allows: Vec<String>,
    /// Structs.
    pub structs: Vec<Definition>,
    /// What an error holds, taken out of it by hand (`unwrap_or_else(|e| e.into_inner())`, `Err(e) => e.into_inner()`), outside tests.
    pub taken_out: Vec<String>,
    /// `sync_all` and `sync_data`, outside tests.
    pub synced: Vec<String>,
    /// `impl TRAIT for TYPE`, last names only.
    pub impls: Vec<(String, String)>,
}

/// Reads one file.
pub fn read(source: &Source, tree: &Tree) -> Result<Facts, syn::Error> {
    let file = syn::parse_file(&source.text)?;
    let mut names = Names { bound: BTreeMap::new(), module: source.module() };
    names.visit_file(&file);
    let tests = usize::from(tree.is_for_tests(source.of(), &source.module()));
    let mut reader = Reader { facts: Facts::default(), bound: names.bound, module: source.module(), tests, errors: Vec::new() };
    reader.visit_file(&file);
    Ok(reader.facts)
}

pub fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let text = match &attr.meta {
            syn::Meta::List(list) if attr.path().is_ident("cfg") => list.tokens.to_string(),
            meta => return meta.path().is_ident("test"),
        };
        // `not(test)` is the opposite; `any(test, ..)` may be in a real build.
        text == "test" || text.starts_with("all") && text.contains("test") && !text.contains("not")
    })
}

/// All leaves of a `use`, as (full path, name it binds); a glob's last part is `*`.
fn leaves(tree: &syn::UseTree, prefix: &[String], into: &mut Vec<(Vec<String>, String)>) {
    let with = |part: String| [prefix, &[part]].concat();
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, &with(path.ident.to_string()), into),
        syn::UseTree::Name(name) if name.ident == "self" => into.push((prefix.to_vec(), prefix.last().cloned().unwrap_or_default())),
        syn::UseTree::Name(name) => into.push((with(name.ident.to_string()), name.ident.to_string())),
        syn::UseTree::Rename(rename) if rename.ident == "self" => into.push((prefix.to_vec(), rename.rename.to_string())),
        syn::UseTree::Rename(rename) => into.push((with(rename.ident.to_string()), rename.rename.to_string())),
        syn::UseTree::Glob(_) => into.push((with("*".to_owned()), String::new())),
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| leaves(item, prefix, into)),
    }
}

/// `self`, `super` and our own package's name become `crate`; anything else stays.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    let mut here = module.to_vec();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("self") => rest = &path[1..],
        Some("super") => {
            while rest.first().is_some_and(|part| part == "super") {
                here.pop();
                rest = &rest[1..];
            }
        }
        Some("bartizan") => return [&["crate".to_owned()], &path[1..]].concat(),
        _ => return path.to_vec(),
    }
    [&["crate".to_owned()], here.as_slice(), rest].concat()
}

/// First pass: which names `use` and `mod` bind in this file, so that a path can be followed to its package.
struct Names {
    bound: BTreeMap<String, Vec<String>>,
    module: Vec<String>,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        for (path, name) in found {
            // `use std::process;` then `process::Command`; a name bound to itself explains nothing.
            if path.len() > 1 || path.first() != Some(&name) {
                self.bound.insert(name, absolute(&path, &self.module));
            }
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        self.bound.insert(name.clone(), [&["crate".to_owned()], self.module.as_slice(), std::slice::from_ref(&name)].concat());
        self.module.push(name);
        visit::visit_item_mod(self, item);
        self.module.pop();
    }
}

/// Second pass: the facts.
struct Reader {
    facts: Facts,
    bound: BTreeMap<String, Vec<String>>,
    module: Vec<String>,
    tests: usize,
    /// Names that an error has here.
    errors: Vec<String>,
}

/// The name that a pattern binds, if it is nothing but one.
fn name_of(pattern: &syn::Pat) -> Option<String> {
    match pattern {
        syn::Pat::Ident(name) => Some(name.ident.to_string()),
        syn::Pat::Type(typed) => name_of(&typed.pat),
        _ => None,
    }
}

impl Reader {
    fn note_path(&mut self, path: Vec<String>) {
        let path = match path.first().and_then(|first| self.bound.get(first)) {
            Some(real) if path.len() > 1 => [real.as_slice(), &path[1..]].concat(),
            _ => path,
        };
        self.facts.paths.push((absolute(&path, &self.module), self.tests > 0));
    }

    fn shout(&mut self, what: &str) {
        if self.tests == 0 {
            self.facts.shouts.push(what.to_owned());
        }
    }

    /// Attributes and macros are token soup to the parser; their text is searched word by word.
    fn search(&mut self, text: &str) {
        let text = without_literals(text).replace(" :: ", "::").replace(":: ", "::").replace(" ::", "::");
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for word in text.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            let parts: Vec<String> = word.split("::").filter(|part| !part.is_empty() && !part.contains(':')).map(str::to_owned).collect();
            if parts.len() > 1 {
                self.note_path(parts);
            }
        }
        let packed: String = text.split_whitespace().collect();
        for call in [".unwrap()", ".expect("] {
            if packed.contains(call) {
                self.shout(call);
            }
        }
    }
}

/// The same text without what stands between quotes.
fn without_literals(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '"' {
            while let Some(inner) = chars.next() {
                match inner {
                    '\\' => drop(chars.next()),
                    '"' => break,
                    _ => {}
                }
            }
        }
    }
    out
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attrs: &[syn::Attribute] = match item {
            syn::Item::Mod(i) => &i.attrs,
            syn::Item::Fn(i) => &i.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Use(i) => &i.attrs,
            syn::Item::Const(i) => &i.attrs,
            syn::Item::Static(i) => &i.attrs,
            syn::Item::Struct(i) => &i.attrs,
            syn::Item::Macro(i) => &i.attrs,
            _ => &[],
        };
        let step = usize::from(is_test(attrs));
        self.tests += step;
        visit::visit_item(self, item);
        self.tests -= step;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let step = usize::from(is_test(&item.attrs));
        self.tests += step;
        visit::visit_impl_item_fn(self, item);
        self.tests -= step;
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        for (path, _) in found {
            self.note_path(path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note_path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if matches!(method.as_str(), "unwrap" | "expect" | "unwrap_err" | "expect_err") {
            self.shout(&format!(".{method}("));
        }
        if self.tests == 0 && matches!(method.as_str(), "sync_all" | "sync_data") {
            self.facts.synced.push(method.clone());
        }
        if let (true, 0, syn::Expr::Path(of)) = (method == "into_inner", self.tests, &*call.receiver)
            && let Some(name) = of.path.get_ident().map(ToString::to_string).filter(|name| self.errors.contains(name))
        {
            self.facts.taken_out.push(format!("{name}.into_inner()"));
        }
        let answers = matches!(method.as_str(), "unwrap_or_else" | "map_or_else" | "or_else");
        let closures = call.args.iter().filter_map(|arg| match arg {
            syn::Expr::Closure(closure) if answers => closure.inputs.first().and_then(name_of),
            _ => None,
        });
        let known = self.errors.len();
        self.errors.extend(closures);
        visit::visit_expr_method_call(self, call);
        self.errors.truncate(known);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let known = self.errors.len();
        if let syn::Pat::TupleStruct(pattern) = &arm.pat
            && pattern.path.segments.last().is_some_and(|last| last.ident == "Err")
        {
            self.errors.extend(pattern.elems.first().and_then(name_of));
        }
        visit::visit_arm(self, arm);
        self.errors.truncate(known);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let name = mac.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if matches!(name.as_str(), "panic" | "todo" | "unimplemented" | "dbg") {
            self.shout(&format!("{name}!"));
        }
        self.search(&mac.tokens.to_string());
        visit::visit_macro(self, mac);
    }

    fn visit_attribute(&mut self, attr: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attr.meta {
            let text = list.tokens.to_string().replace(' ', "");
            if attr.path().is_ident("allow") && self.tests == 0 {
                self.facts.allows.push(text.clone());
            }
            self.search(&text);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let (Some((_, name, _)), syn::Type::Path(of)) = (&item.trait_, &*item.self_ty) {
            let last = |path: &syn::Path| path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
            self.facts.impls.push((last(name), last(&of.path)));
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let derives = item.attrs.iter().filter_map(|attr| match &attr.meta {
            syn::Meta::List(list) if attr.path().is_ident("derive") => Some(list.tokens.to_string()),
            _ => None,
        });
        self.facts.structs.push(Definition {
            name: item.ident.to_string(),
            derives: derives.collect(),
            all_private: item.fields.iter().all(|field| matches!(field.vis, syn::Visibility::Inherited)),
        });
        visit::visit_item_struct(self, item);
    }
}
