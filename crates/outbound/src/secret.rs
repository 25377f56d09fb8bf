//! A secret, read where the owner put it, each time that it is needed: a changed file needs no restart.

use std::path::{Path, PathBuf};

use bartizan_config::Secret;
use bartizan_sys::digest::read_bounded;

/// Longest secret, in bytes.
const MAX: u64 = 4_096;

/// The secret itself.
///
/// # Errors
/// In words, what is missing; never the secret.
pub(crate) fn read(secret: &Secret) -> Result<String, String> {
    match secret {
        Secret::Plain(text) => Ok(text.clone()),
        Secret::File(path) => first_line(path),
        Secret::Environment(name) => std::env::var(name)
            .ok()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| format!("the environment variable {name} of the agent is not set")),
        Secret::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or_else(|| format!("systemd passes no credential {name}: write LoadCredential={name}:/path into the unit"))?;
            first_line(&PathBuf::from(directory).join(name))
        }
    }
}

fn first_line(path: &Path) -> Result<String, String> {
    let fail = |why: String| format!("{} cannot be read: {why}", path.display());
    let bytes = read_bounded(path, MAX).map_err(|why| fail(why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| fail("it is not text".to_owned()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { Err(fail("its first line is empty".to_owned())) } else { Ok(line.to_owned()) }
}

/// Where it lies, for people.
pub(crate) fn place(secret: &Secret) -> String {
    match secret {
        Secret::Plain(_) => "the settings".to_owned(),
        Secret::File(path) => path.display().to_string(),
        Secret::Environment(name) => format!("${name}"),
        Secret::Credential(name) => format!("the credential {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_its_file_and_what_is_missing_is_said() {
        let dir = std::env::temp_dir().join(format!("bartizan-secret-{}", std::process::id()));
        std::fs::write(&dir, "  hush \nmore\n").unwrap();
        assert_eq!(read(&Secret::File(dir.clone())), Ok("hush".to_owned()));
        std::fs::write(&dir, "\n").unwrap();
        assert!(read(&Secret::File(dir.clone())).unwrap_err().ends_with("its first line is empty"));
        std::fs::remove_file(&dir).unwrap();
        assert!(read(&Secret::File(dir)).unwrap_err().contains("cannot be read"));
        assert!(read(&Secret::Environment("BARTIZAN_NO_SUCH".to_owned())).unwrap_err().contains("is not set"));
        assert!(read(&Secret::Credential("x".to_owned())).unwrap_err().contains("LoadCredential=x"));
    }
}
