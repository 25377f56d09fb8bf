//! Where a runtime writes what a container says.

use std::path::PathBuf;

use serde::Deserialize;

use super::listing::{bounded, path_of};
use super::{ApiError, ContainerApi, parse};
use bartizan_model::HostText;

/// Longest name of a driver and longest path, in bytes.
const MAX_DRIVER: usize = 64;
const MAX_PATH: usize = 4096;

/// The log of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLog {
    /// Name of the container.
    pub name: HostText,
    /// Who writes the log: `json-file`, `local`, `journald`, `k8s-file` ...
    pub driver: String,
    /// The file, if the driver writes one.
    pub path: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(default)]
    name: String,
    #[serde(default)]
    log_path: String,
    #[serde(default)]
    host_config: HostConfig,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    log_config: LogConfig,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct LogConfig {
    r#type: String,
}

impl ContainerApi {
    /// The log of a container, by its id; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the runtime is not there or does not answer as it should.
    pub fn log_of(&self, id: &str) -> Result<Option<ContainerLog>, ApiError> {
        let path = path_of(id);
        match self.get(&path) {
            Ok(body) => parse(&path, &body).map(|inspected| Some(log(inspected))),
            Err(ApiError::Refused(_, 404, _)) => Ok(None),
            Err(why) => Err(why),
        }
    }
}

fn log(inspected: Inspected) -> ContainerLog {
    let path = Some(inspected.log_path).filter(|path| path.starts_with('/') && path.len() <= MAX_PATH);
    let driver = inspected.host_config.log_config.r#type.chars().filter(char::is_ascii_graphic).take(MAX_DRIVER).collect();
    ContainerLog { name: bounded(&inspected.name), driver, path: path.map(PathBuf::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_and_file_stand_in_the_settings_of_the_container() {
        let read = |text: &str| log(serde_json::from_str(text).unwrap());
        let one = read(r#"{"Name":"/web","LogPath":"/a/b-json.log","HostConfig":{"LogConfig":{"Type":"json-file","Config":{}}}}"#);
        assert_eq!((one.name, one.driver.as_str(), one.path), ("web".into(), "json-file", Some("/a/b-json.log".into())));
        let other = read(r#"{"LogPath":"relative","HostConfig":{"LogConfig":{"Type":"lo\u001bcal"}}}"#);
        assert_eq!((other.driver.as_str(), other.path), ("local", None));
        assert_eq!(read("{}").driver, "");
    }
}
