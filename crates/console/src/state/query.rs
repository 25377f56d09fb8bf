//! The filter language of the tables: words, `field:value`, `field>number`, `~regex`, each negated by `!`; all must fit.

use std::cmp::Ordering;

use regex::bytes::{Regex, RegexBuilder};

/// A value of a row by its name: what the filter looks at and what the table is sorted by.
pub(crate) type Facts = Vec<(&'static str, String)>;

/// Most bytes of a compiled expression: whoever types one must not stop the screen.
const REGEX_BYTES: usize = 1 << 18;

/// Values that a word or an expression does not look at: numbers that stand for something else, which only their name asks for.
const BY_NAME: [&str; 17] = [
    "weight", "age", "left", "opened", "updated", "at", "count", "times", "id", "days", "lines", "unparsed", "records", "lag", "attempts",
    "accounts", "strikes",
];

#[derive(Debug)]
enum Test {
    /// Any value holds this, without regard to case.
    Word(String),
    /// A field is this (a number) or holds this (a text); nothing asks for any value at all.
    Field(String, String),
    /// A field is more or less than this.
    Than(String, Ordering, f64),
    /// Any value matches.
    Regex(Regex),
    /// Half-typed or wrong: it fits everything, and is told.
    Wrong(String),
}

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Query(Vec<(bool, Test)>);

impl Query {
    /// Compiles what was typed; what cannot be compiled lets everything pass and is named by [`Query::problem`].
    pub(crate) fn new(typed: &str) -> Self {
        Self(words(typed).into_iter().filter(|word| !word.is_empty() && word != "!").map(|word| term(&word)).collect())
    }

    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.0.iter().find_map(|(_, test)| if let Test::Wrong(why) = test { Some(why.as_str()) } else { None })
    }

    /// Whether a row with these values is wanted.
    pub(crate) fn fits(&self, facts: &Facts) -> bool {
        self.0.iter().all(|(wanted, test)| matches!(test, Test::Wrong(_)) || passes(test, facts) == *wanted)
    }
}

/// Split at spaces; quotes hold a value with spaces together.
fn words(typed: &str) -> Vec<String> {
    let (mut out, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in typed.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => out.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    out.push(word);
    out
}

fn term(word: &str) -> (bool, Test) {
    if let Some(rest) = word.strip_prefix('!') {
        let (wanted, test) = term(rest);
        return (!wanted, test);
    }
    if let Some(pattern) = word.strip_prefix('~') {
        let built = RegexBuilder::new(pattern).unicode(false).case_insensitive(true).size_limit(REGEX_BYTES).build();
        return (true, built.map_or_else(|_| Test::Wrong(format!("~{pattern} is not a valid regular expression")), Test::Regex));
    }
    for (sign, order) in [('>', Ordering::Greater), ('<', Ordering::Less)] {
        if let Some((name, value)) = word.split_once(sign).filter(|(name, _)| is_name(name)) {
            let number = value.parse().map(|number| Test::Than(name.to_lowercase(), order, number));
            return (true, number.unwrap_or_else(|_| Test::Wrong(format!("{name}{sign} needs a number"))));
        }
    }
    if let Some((name, value)) = word.split_once(':').filter(|(name, _)| is_name(name)) {
        return (true, Test::Field(name.to_lowercase(), value.to_lowercase()));
    }
    (true, Test::Word(word.to_lowercase()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn passes(test: &Test, facts: &Facts) -> bool {
    let said = || facts.iter().filter(|(name, _)| !BY_NAME.contains(name));
    let holds = |word: &str| said().any(|(_, value)| value.to_lowercase().contains(word));
    match test {
        Test::Word(word) => holds(word),
        Test::Field(name, value) => match facts.iter().find(|(known, _)| known == name) {
            Some((_, own)) if value.is_empty() => !own.is_empty(),
            Some((_, own)) if is_number(own) && is_number(value) => own == value,
            Some((_, own)) => own.to_lowercase().contains(value),
            // No field of this table: an address of IPv6, say.
            None => holds(&format!("{name}:{value}")),
        },
        Test::Than(name, order, number) => facts
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, own)| own.parse::<f64>().ok())
            .is_some_and(|own| own.partial_cmp(number) == Some(*order)),
        Test::Regex(regex) => said().any(|(_, value)| regex.is_match(value.as_bytes())),
        Test::Wrong(_) => true,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// In which order two values stand in a table: numbers by size, ids (I2, I10) by their number, texts by letter, nothing last.
///
/// A total order whatever a hostile process is called: a sort panics at any other.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    match (Place::of(one), Place::of(other)) {
        (Place::Number(one), Place::Number(other)) => one.total_cmp(&other),
        (Place::Id(one, its), Place::Id(other, number)) => (one, its).cmp(&(other, number)),
        (Place::Text(one), Place::Text(other)) => one.cmp(&other),
        (one, other) => one.rank().cmp(&other.rank()),
    }
}

/// A value as it is ordered.
enum Place {
    /// A finite number.
    Number(f64),
    /// A record of the agent: its letter and its number.
    Id(char, u64),
    Text(String),
    Empty,
}

impl Place {
    fn of(value: &str) -> Self {
        if value.is_empty() {
            return Self::Empty;
        }
        // `nan` and `infinity` are words here; `+ 0.0` makes -0 the same as 0.
        if let Some(number) = value.parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Self::Number(number + 0.0);
        }
        let mut rest = value.chars();
        let id = rest.next().filter(char::is_ascii_uppercase).zip(Some(rest.as_str()).filter(|digits| is_number(digits)));
        match id.and_then(|(letter, digits)| Some((letter, digits.parse().ok()?))) {
            Some((letter, number)) => Self::Id(letter, number),
            None => Self::Text(value.to_lowercase()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Id(..) => 1,
            Self::Text(_) => 2,
            Self::Empty => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values as rows have them, and what a hostile process makes of them.
    fn value() -> impl Strategy<Value = String> {
        let known = vec![
            "", "0", "-0", "9", "10", "1e3", "nan", "NaN", "inf", "-infinity", "I2", "I10", "A1", "a1", "Q3", "I", "x", "X", "9x",
            "I99999999999999999999999",
        ];
        prop_oneof![
            proptest::sample::select(known).prop_map(str::to_owned),
            any::<f64>().prop_map(|number| number.to_string()),
            "[AIQ]?[0-9]{0,4}",
            ".{0,4}"
        ]
    }

    proptest! {
        #[test]
        fn whatever_rows_hold_they_have_a_total_order(a in value(), b in value(), c in value()) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let (low, mid) = (compare(&a, &b), compare(&b, &c));
            if low == mid || mid == Ordering::Equal {
                prop_assert_eq!(compare(&a, &c), low);
            } else if low == Ordering::Equal {
                prop_assert_eq!(compare(&a, &c), mid);
            }
        }
    }

    #[test]
    fn numbers_come_before_ids_by_their_number_then_texts_then_nothing() {
        let sorted = ["-1", "2", "10", "A1", "I2", "I10", "bash", "nan", "Sshd", ""];
        let mut values = sorted;
        values.reverse();
        values.sort_by(|one, other| compare(one, other));
        assert_eq!(values, sorted);
    }

    #[test]
    fn words_fields_numbers_and_expressions_filter_rows() {
        let row: Facts =
            vec![("user", "www-data".into()), ("dport", "443".into()), ("container", String::new()), ("src", "fe80::1".into())];
        for typed in [
            "", "www", "WWW-data", "user:www-data dport:443 !container:", "~^www", "dport>442", "dport<444", "fe80::1", "!~bash", "\"w-d\"",
        ] {
            assert!(Query::new(typed).fits(&row), "{typed}");
        }
        for typed in ["user:root", "dport:44", "dport:4430", "container:", "!www", "~^data", "dport>443", "nothing", "user:www !dport:443"]
        {
            assert!(!Query::new(typed).fits(&row), "{typed}");
        }
        for typed in ["~(", "dport>", "~a{9999999}"] {
            assert!(Query::new(typed).fits(&row) && Query::new(typed).problem().is_some(), "half-typed text hides nothing: {typed}");
        }
        assert_eq!([compare("9", "10"), compare("b", "A"), compare("", "z")], [Ordering::Less, Ordering::Greater, Ordering::Greater]);
    }
}
