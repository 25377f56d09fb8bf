//! Layers of raw settings: built-in, file, environment, flags; the later one wins and each value keeps its origin.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use toml::{Spanned, Value};

use bartizan_model::nearest;

/// Longest configuration file that is read, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Where a setting's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A file, and the line in it.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// A setting that cannot be used. One line: where it stands, what is wrong, what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value is unknown, of the wrong type or out of range.
    #[error("{origin}: {key}: {problem}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// Which setting.
        key: String,
        /// What is wrong and what to write.
        problem: String,
    },
    /// A file cannot be read or is not TOML.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] super::policy::PolicyError),
}

/// Raw values with their origins. Only names that the built-in layer has are accepted.
#[derive(Debug, Clone)]
pub(super) struct Layers(BTreeMap<String, (Value, Origin)>);

impl Layers {
    /// The built-in layer.
    pub(super) fn built_in(text: &str) -> Result<Self, ConfigError> {
        let path = Path::new("built-in agent.toml");
        Ok(Self(parse(text, path)?.into_iter().map(|(key, (value, _))| (key, (value, Origin::Default))).collect()))
    }

    /// Puts the values of a file over those there are.
    pub(super) fn add_file(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        for (key, (value, line)) in parse(text, path)? {
            self.put(&key, value, Origin::File(path.to_owned(), line))?;
        }
        Ok(())
    }

    /// Puts the variables `BARTIZAN_*` over the values there are. A list is written with commas.
    pub(super) fn add_environment(&mut self, read: &dyn Fn(&str) -> Option<OsString>) -> Result<(), ConfigError> {
        let keys: Vec<String> = self.0.keys().cloned().collect();
        for key in keys {
            let name = format!("BARTIZAN_{}", key.to_ascii_uppercase());
            let Some(raw) = read(&name) else { continue };
            let origin = Origin::Environment(name);
            let Some(text) = raw.to_str() else {
                return Err(ConfigError::Value { origin, key, problem: "is not UTF-8 text".to_owned() });
            };
            let value = from_text(text, self.0.get(&key).map(|(value, _)| value));
            self.put(&key, value, origin)?;
        }
        Ok(())
    }

    /// Puts one value over the one there is.
    pub(super) fn put(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let Some(slot) = self.0.get_mut(key) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let meant = nearest(key, known.iter().copied()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            let problem = format!("no such setting{meant}; known are {}", known.join(", "));
            return Err(ConfigError::Value { origin, key: key.escape_debug().take(60).collect(), problem });
        };
        *slot = (value, origin);
        Ok(())
    }

    /// The value and origin of a setting that the built-in layer has.
    pub(super) fn get(&self, key: &str) -> Result<&(Value, Origin), ConfigError> {
        self.0.get(key).ok_or_else(|| ConfigError::Value {
            origin: Origin::Default,
            key: key.to_owned(),
            problem: "no such setting".to_owned(),
        })
    }

    /// All settings as raw values with their origins, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.0.iter().map(|(key, (value, origin))| (key.as_str(), value, origin))
    }
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, (Value, usize)>, ConfigError> {
    let table: BTreeMap<String, Spanned<Value>> =
        toml::from_str(text).map_err(|e| ConfigError::File { path: path.to_owned(), problem: one_line(text, &e) })?;
    let mut flat = BTreeMap::new();
    for (key, value) in table {
        let line = line_of(text, value.span().start);
        let set: Vec<(String, Value)> = match value.into_inner() {
            // `[webhook]` with `url` and `format` is the same as `webhook` and `webhook_format`.
            Value::Table(inner) => {
                let name = |name: String| if name == "url" { key.clone() } else { format!("{key}_{name}") };
                inner.into_iter().map(|(inner, value)| (name(inner), value)).collect()
            }
            value => vec![(key, value)],
        };
        for (key, value) in set {
            // Which of the two was meant, nobody can tell.
            if let Some((_, other)) = flat.get(&key) {
                let (first, second) = (line.min(*other), line.max(*other));
                let problem = format!("lines {first} and {second} both set {key}: remove one of them");
                return Err(ConfigError::File { path: path.to_owned(), problem });
            }
            flat.insert(key, (value, line));
        }
    }
    Ok(flat)
}

/// A number where a number is expected, a list where a list is, else the text itself.
fn from_text(text: &str, like: Option<&Value>) -> Value {
    let number = |text: &str| text.trim().parse().map_or_else(|_| Value::String(text.trim().to_owned()), Value::Integer);
    match like {
        Some(Value::Integer(_)) => number(text),
        Some(Value::Array(_)) => Value::Array(text.split(',').filter(|part| !part.trim().is_empty()).map(number).collect()),
        _ => Value::String(text.to_owned()),
    }
}

/// A TOML error as one line that begins with the line number.
pub(super) fn one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    match error.span() {
        Some(span) => format!("line {}: {message}", line_of(text, span.start)),
        None => message,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Reads a configuration file of at most 1 MiB; `None` when it does not exist and need not.
pub(super) fn read_file(path: &Path, must_exist: bool) -> Result<Option<String>, ConfigError> {
    let fail = |problem: String| ConfigError::File { path: path.to_owned(), problem };
    if path.metadata().is_ok_and(|found| found.file_type().is_fifo()) {
        return Err(fail("is a pipe, which may never end; name a file".to_owned()));
    }
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(None),
        Err(e) => return Err(fail(format!("cannot be read: {e}; check the path and its permissions"))),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(|e| fail(format!("cannot be read: {e}; name a file")))?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(fail("is larger than 1 MiB; it is not a configuration file".to_owned()));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| fail("is not UTF-8 text; save it as UTF-8".to_owned()))
}
