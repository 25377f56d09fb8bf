//! Rules on examples that are made from the rules' own patterns: gitleaks' rules as they are, where the file is there, and our own rules
//! on the same examples.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::collections::BTreeMap;

use bartizan_scan::secrets::{FileScan, Hit, Scanner, built_in, parse};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Examples of each rule.
const EXAMPLES: usize = 20;

fn gitleaks() -> Option<String> {
    let corpus = std::env::var("BARTIZAN_CORPUS").unwrap_or_else(|_| format!("{}/../../../shared/data", env!("CARGO_MANIFEST_DIR")));
    let places = [format!("{corpus}/secrets/gitleaks.toml"), "/work/shared/data/secrets/gitleaks.toml".to_owned()];
    places.iter().find_map(|place| std::fs::read_to_string(place).ok())
}

fn hits(scanner: &Scanner, path: &str, text: &[u8]) -> Vec<Hit> {
    let mut scan = FileScan::default();
    scanner.name(path.as_bytes(), &mut scan);
    scanner.piece(path.as_bytes(), text, 1, &mut scan);
    scan.hits()
}

/// What a pattern describes, in a form that the generator knows: ASCII, no edges of words, no ends of text.
fn generated(pattern: &str) -> Option<impl Strategy<Value = String> + use<>> {
    let mut plain = pattern.replace(r"\b", "").replace("(?i)", "").replace("(?i:", "(?:").replace("(?-i:", "(?:");
    for (class, ascii) in [(r"\w", "[a-zA-Z0-9_]"), (r"\d", "[0-9]"), (r"\s", "[ \n]"), ("[[:alnum:]]", "[a-zA-Z0-9]"), ("|$)", ")")] {
        // Within a class the brackets of the replacement go.
        let inside = ascii.trim_matches(['[', ']']);
        let mut out = String::new();
        let (mut depth, mut rest) = (false, plain.as_str());
        while !rest.is_empty() {
            if rest.starts_with(class) {
                out.push_str(if depth { inside } else { ascii });
                rest = &rest[class.len()..];
                continue;
            }
            let c = rest.chars().next().unwrap();
            if c == '\\' {
                let two: String = rest.chars().take(2).collect();
                rest = &rest[two.len()..];
                out.push_str(&two);
                continue;
            }
            depth = match c {
                '[' => true,
                ']' => false,
                _ => depth,
            };
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
        plain = out;
    }
    let plain = plain.replace(",}", ",60}").replace("{60,60}", "{60,61}").replace("{250,60}", "{250,260}").replace("{100,60}", "{100,120}");
    proptest::string::string_regex(&plain).ok()
}

/// Examples by rule, whatever their entropy.
fn examples(text: &str) -> BTreeMap<String, Vec<String>> {
    let file: toml::Value = toml::from_str(text).unwrap();
    let mut runner = TestRunner::deterministic();
    let mut made = BTreeMap::new();
    for rule in file["rules"].as_array().unwrap() {
        let (Some(pattern), Some(id)) = (rule.get("regex").and_then(|p| p.as_str()), rule["id"].as_str()) else { continue };
        let Some(strategy) = generated(pattern) else { continue };
        let keyword = rule.get("keywords").and_then(|words| words[0].as_str()).unwrap_or_default();
        let texts = (0..EXAMPLES).map(|_| strategy.new_tree(&mut runner).unwrap().current());
        made.insert(id.to_owned(), texts.map(|one| format!("# {keyword}\n{one}\n")).collect());
    }
    made
}

#[test]
fn gitleaks_rules_are_all_understood_and_find_what_they_describe() {
    let Some(text) = gitleaks() else { return eprintln!("skipped: there is no ../shared/data/secrets/gitleaks.toml") };
    let rules = parse(&text).unwrap();
    assert_eq!(rules.len(), 222);
    let troubled: Vec<_> = rules.iter().filter_map(|rule| rule.trouble().map(|why| format!("{}: {why}", rule.id))).collect();
    assert!(troubled.is_empty(), "{troubled:#?}");
    // Entropy and allowlists apart: what is made by chance can be a placeholder.
    let scanner = Scanner::new(rules).unwrap();
    let made = examples(&text);
    assert!(made.len() > 180, "examples of {} rules", made.len());
    let (mut found, mut all, mut missed) = (0, 0, Vec::new());
    for (id, texts) in &made {
        let hit = texts.iter().filter(|one| !hits(&scanner, "settings.conf", one.as_bytes()).is_empty()).count();
        (found, all) = (found + hit, all + texts.len());
        if hit * 10 < texts.len() * 9 {
            missed.push(format!("{id} {hit}/{}: {:?}", texts.len(), texts[0]));
        }
    }
    eprintln!("found {found} of {all}; {missed:#?}");
    assert!(found * 100 >= all * 95, "found {found} of {all}");
}

#[test]
fn our_own_rules_find_what_those_of_gitleaks_describe() {
    let Some(text) = gitleaks() else { return eprintln!("skipped: there is no ../shared/data/secrets/gitleaks.toml") };
    let scanner = Scanner::new(built_in().unwrap()).unwrap();
    let (mut found, mut all, mut missed) = (0, 0, Vec::new());
    for (id, texts) in &examples(&text) {
        let hit = texts.iter().filter(|one| !hits(&scanner, "settings.yaml", one.as_bytes()).is_empty()).count();
        (found, all) = (found + hit, all + texts.len());
        if hit * 10 < texts.len() * 8 {
            missed.push(format!("{id} {hit}/{}: {:?}", texts.len(), texts[0]));
        }
    }
    eprintln!("found {found} of {all}; {missed:#?}");
    assert!(found * 100 >= all * 95, "found {found} of {all}");
}

/// How people write a value down beside its name; `{n}` and `{v}` stand for them.
const WRITTEN: [&str; 14] = [
    "{n}_token={v}\n", "{n}_TOKEN = \"{v}\"\n", "export {n}_KEY='{v}'\n", "{n}Token: {v}\n", "  {n}_token: \"{v}\"\n",
    "{\n  \"{n}_token\": \"{v}\"\n}\n", "<{n}Token>{v}</{n}Token>\n", "let {n}_token = \"{v}\";\n", "var {n}Token string = \"{v}\"\n",
    "{n}Token := `{v}`\n", "String {n}Token = \"{v}\";\n", "${n}Token = '{v}';\n", "\"{n}Token\" => \"{v}\"\n",
    "config.set(\"{n}_token\", \"{v}\")\n",
];

/// The names of a rule and how its secret looks, from the one form that nearly all rules have: name, what assigns, value, end.
fn name_and_value(pattern: &str) -> Option<(String, String)> {
    let end = pattern.find(r"(?:[\x60'").or_else(|| pattern.find(r"(?:[^").filter(|_| pattern.contains("|$)"))).unwrap_or(pattern.len());
    let head = pattern.get(..end)?;
    match head.find(r"(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)") {
        Some(assigned) => {
            let names = head.get(..assigned)?.split("(?:").nth(1)?.split(')').next()?;
            let value = head.get(assigned..)?.split_once(r"{0,5}")?.1;
            let mut name = names.split('|').next()?.replace(['\\', '(', '?'], "").replace("-i:", "");
            // `linked[_-]in`, `[Mm]eraki`, `snyk[_.-]`: the first sign of a class.
            while let (Some(open), Some(close)) = (name.find('['), name.find(']')) {
                let first = name.get(open + 1..open + 2)?.to_owned();
                name.replace_range(open..=close, &first);
            }
            Some((name.trim_matches('_').to_owned(), value.to_owned()))
        }
        None => Some((String::new(), head.trim_start_matches("(?i)").replace(r"\b", ""))),
    }
}

/// Examples as people write them, of those rules that have names and values, which the rules of gitleaks themselves find.
#[test]
fn our_own_rules_find_values_as_people_write_them() {
    let Some(text) = gitleaks() else { return eprintln!("skipped: there is no ../shared/data/secrets/gitleaks.toml") };
    let theirs = Scanner::new(parse(&text).unwrap()).unwrap();
    let ours = Scanner::new(built_in().unwrap()).unwrap();
    let file: toml::Value = toml::from_str(&text).unwrap();
    let mut runner = TestRunner::deterministic();
    let (mut found, mut all, mut missed) = (0, 0, Vec::new());
    for rule in file["rules"].as_array().unwrap() {
        let (Some(pattern), Some(id)) = (rule.get("regex").and_then(|p| p.as_str()), rule["id"].as_str()) else { continue };
        let Some((name, value)) = name_and_value(pattern) else { continue };
        let Some(strategy) = generated(&value) else { continue };
        let keyword = rule.get("keywords").and_then(|words| words[0].as_str()).unwrap_or_default();
        let name = if name.is_empty() { keyword.trim_matches(['.', '-', '_', '/', ':', '"']).to_owned() } else { name };
        let (mut own, mut here, mut example) = (0, 0, String::new());
        for form in WRITTEN.iter().cycle().take(2 * WRITTEN.len()) {
            let text = form.replace("{n}", &name).replace("{v}", &strategy.new_tree(&mut runner).unwrap().current());
            if hits(&theirs, "src/settings.txt", text.as_bytes()).is_empty() {
                continue;
            }
            here += 1;
            if hits(&ours, "src/settings.txt", text.as_bytes()).is_empty() { example = text } else { own += 1 }
        }
        (found, all) = (found + own, all + here);
        if own < here {
            missed.push(format!("{id} {own}/{here}: {example:?}"));
        }
    }
    eprintln!("found {found} of {all}; {missed:#?}");
    assert!(all > 3_000 && found * 100 >= all * 95, "found {found} of {all}");
}

#[test]
fn our_own_rules_compile_and_placeholders_are_quiet() {
    let rules = built_in().unwrap();
    assert!(rules.iter().all(|rule| rule.trouble().is_none()), "{:?}", rules.iter().filter_map(|rule| rule.trouble()).collect::<Vec<_>>());
    let scanner = Scanner::new(rules).unwrap();
    for quiet in [
        "password = \"changeme\"",
        "api_key: ${API_KEY}",
        "token = os.environ[\"TOKEN_FOR_BUILDS\"]",
        "secret_key = settings.SECRET_KEY_VALUE_1",
        "AKIAIOSFODNN7EXAMPLE",
        "Authorization: Bearer <token>",
        "https://user:password@host.example/",
        "key = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "public_key = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
        "password: correct-horse-battery-staple",
        "token = \"c2VjcmV0IHRva2VuIDEyMzQ1Njc4\" # bartizan:allow",
    ] {
        assert!(hits(&scanner, "a.conf", quiet.as_bytes()).is_empty(), "{quiet}: {:?}", hits(&scanner, "a.conf", quiet.as_bytes()));
    }
    // Made by chance for this test; none is anybody's.
    for loud in [
        concat!("aws_access_key_id = AKIA", "Q3EGUZ5KXWJ4LQPT"),
        concat!("token: ghp_", "9aK2mQ7xR4tV8wY1bC5dF3gH6jL0nPzSeUiO"),
        concat!("client_secret = \"", "q8W2e9R4t7Y1u3I6o0P5a", "\""),
        concat!("postgres://app:", "Zk83jQw9x2Lm@db1.internal/x"),
    ] {
        assert_eq!(hits(&scanner, "a.conf", loud.as_bytes()).len(), 1, "{loud}");
    }
}

#[test]
fn a_hit_tells_its_line_and_nothing_of_a_short_secret() {
    let scanner = Scanner::new(parse("[[rules]]\nid='a'\nregex='pin=(\\d{6})'\nkeywords=['pin=']\n").unwrap()).unwrap();
    let found = hits(&scanner, "x", b"one\ntwo\npin=482913\npin=482913\npin=111213\n");
    assert_eq!(found.iter().map(|hit| hit.line).collect::<Vec<_>>(), [3, 5], "the same secret once");
    assert!(!format!("{found:?}").contains("482913") && found[0].shown == b"... (6 bytes, redacted)");
}

#[test]
fn a_text_made_of_keywords_ends_in_time() {
    let Some(text) = gitleaks() else { return eprintln!("skipped: there is no ../shared/data/secrets/gitleaks.toml") };
    let mut rules = parse(&text).unwrap();
    rules.extend(built_in().unwrap());
    let scanner = Scanner::new(rules).unwrap();
    for word in ["-----BEGIN PRIVATE KEY", "ey", " ey", "key=", "token:'", "pat", "adobe=", "kind: secret\n", "curl -u ", "aaaaaaaaa"] {
        let text = word.repeat((1 << 20) / word.len());
        let began = std::time::Instant::now();
        let mut scan = FileScan::default();
        scanner.piece(b"x.yaml", text.as_bytes(), 1, &mut scan);
        eprintln!("{word:?}: {:?}, cut: {}", began.elapsed(), scan.cut);
        assert!(began.elapsed().as_secs() < 60, "{word:?}: {:?}", began.elapsed());
    }
}
