//! What a rule text becomes once YAML is read: it may not outgrow its text, and no condition in it may nest without bound.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// Deepest nesting of parentheses in one text.
const MAX_PARENTHESES: usize = 48;
/// Most values of all documents that share parts by `action:`, once each has its copy.
const MAX_SHARED: usize = 200_000;

/// What is wrong with this text; it is walked, and nothing of it is kept.
pub(crate) fn check(text: &str) -> Result<(), String> {
    // Without aliases a value has at least half a byte of text, and no character becomes twice as long.
    let mut growth = Growth { left: 4 * text.len() + 64, values: 0, shares: false };
    let mut documents = 0_usize;
    for document in yaml_serde::Deserializer::from_str(text) {
        documents += 1;
        DeserializeSeed::deserialize(Node(&mut growth), document).map_err(|error| error.to_string())?;
    }
    if growth.shares && growth.values.saturating_mul(documents) > MAX_SHARED {
        return Err(format!("its {documents} documents share more than {MAX_SHARED} values by `action`"));
    }
    Ok(())
}

struct Growth {
    /// Values and bytes that may still come.
    left: usize,
    values: usize,
    /// Whether a document may take over what another has.
    shares: bool,
}

impl Growth {
    fn value<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.values += 1;
        self.left = self.left.checked_sub(1 + bytes).ok_or_else(|| E::custom("it grows beyond its text"))?;
        Ok(())
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        self.value(text.len())?;
        self.shares |= text == "action";
        let mut depth = 0_usize;
        for byte in text.bytes() {
            match byte {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_PARENTHESES {
                return Err(E::custom(format_args!("parentheses are nested deeper than {MAX_PARENTHESES}")));
            }
        }
        let mut nots = 0;
        for word in text.split_whitespace() {
            nots = if word.eq_ignore_ascii_case("not") { nots + 1 } else { 0 };
            if nots == 3 {
                return Err(E::custom("\"not not not\" in a condition"));
            }
        }
        Ok(())
    }
}

/// Any value.
struct Node<'a>(&'a mut Growth);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.value(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.0.value(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.0.value(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.0.value(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.0.value(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.value(0)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.value(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.value(0)?;
        while list.next_element_seed(Node(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.value(0)?;
        while map.next_key_seed(Node(self.0))?.is_some() {
            map.next_value_seed(Node(self.0))?;
        }
        Ok(())
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let ((), value) = tagged.variant_seed(Node(self.0))?;
        value.newtype_variant_seed(Node(self.0))
    }
}
