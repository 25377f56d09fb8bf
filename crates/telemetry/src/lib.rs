//! Our own structured logs: JSON lines to a bounded set of files, or to stderr when no screen is drawn there.

#![forbid(unsafe_code)]

mod rolling;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use rolling::Rolling;

/// Name of the newest log in the data directory; older ones end in `.1`, `.2`, `.3`.
pub const FILE: &str = "bartizan.log";

/// Where logs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Files in this directory: always while a console is drawn, whose terminal must stay untouched.
    Directory(PathBuf),
    /// Standard error: headless, where systemd keeps it.
    Stderr,
}

/// Why there will be no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The file cannot be written.
    #[error("{}: logs cannot be written: {why}; check that the data directory is writable", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The level is not one.
    #[error("log level \"{0}\" is not understood: use error, warn, info, debug or trace")]
    Level(String),
    /// Somebody was first.
    #[error("logs were already set up in this process")]
    Twice,
}

/// What became of log lines. Kept by the engine to be shown.
#[derive(Debug, Clone, Default)]
pub struct Telemetry(Option<Arc<Rolling>>);

impl Telemetry {
    /// Lines that could not be written (disk full ...).
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |rolling| rolling.lost())
    }
}

/// Sends this process's logs to `destination` from now on. `level` is for our own lines; libraries speak from `warn` on.
///
/// # Errors
/// [`TelemetryError`]; the agent can go on without logs.
pub fn begin(destination: &Destination, level: &str) -> Result<Telemetry, TelemetryError> {
    let (subscriber, telemetry) = subscriber(destination, level)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
    Ok(telemetry)
}

fn subscriber(
    destination: &Destination,
    level: &str,
) -> Result<(impl tracing::Subscriber + Send + Sync + use<>, Telemetry), TelemetryError> {
    if level.parse::<tracing::Level>().is_err() {
        return Err(TelemetryError::Level(level.escape_debug().take(40).collect()));
    }
    let filter = EnvFilter::try_new(format!("warn,bartizan={level}")).map_err(|_| TelemetryError::Level(level.to_owned()))?;
    let (writer, telemetry) = match destination {
        Destination::Stderr => (BoxMakeWriter::new(std::io::stderr), Telemetry(None)),
        Destination::Directory(directory) => {
            let rolling = open(&directory.join(FILE))?;
            let writer = Arc::clone(&rolling);
            (BoxMakeWriter::new(move || rolling::Line(Arc::clone(&writer))), Telemetry(Some(rolling)))
        }
    };
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(writer).finish();
    Ok((subscriber, telemetry))
}

fn open(path: &Path) -> Result<Arc<Rolling>, TelemetryError> {
    Rolling::open(path).map(Arc::new).map_err(|why| TelemetryError::File { path: path.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_with_level_and_fields_and_libraries_are_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let (subscriber, telemetry) = subscriber(&Destination::Directory(dir.path().to_owned()), "info").unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(pid = 7, path = "a\x1b\n\"b", "seen");
            tracing::debug!("not wanted");
            tracing::info!(target: "hyper::client", "not ours");
        });
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["level"], &line["pid"], &line["path"], &line["message"]),
            (&"INFO".into(), &7.into(), &"a\x1b\n\"b".into(), &"seen".into())
        );
        assert!(!text.contains('\x1b') && telemetry.lost() == 0);
    }

    #[test]
    fn mistakes_are_said() {
        let to = |path: &str, level| subscriber(&Destination::Directory(PathBuf::from(path)), level).err().map(|error| error.to_string());
        assert!(to("/nonexistent", "info").unwrap().starts_with("/nonexistent/bartizan.log: logs cannot be written: "));
        assert!(to("/tmp", "loud").unwrap().contains("\"loud\" is not understood"));
    }
}
