//! The control socket as a file: 0600, or 0660 for a group; never stolen from a living agent.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::{UnixListener, UnixStream};

/// How long an agent that was there before may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("an agent already answers on {0}: attach to it with `bartizan attach`, or choose another with --socket")]
    InUse(PathBuf),
    /// Something else has the name.
    #[error("{0} exists and is not a socket: remove it, or choose another with --socket")]
    NotASocket(PathBuf),
    /// The file system says no.
    #[error("cannot make the control socket {path}: {cause}; choose a directory that {user} may write to with --socket")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
        /// Who tried.
        user: &'static str,
    },
}

/// The bound socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Binds the socket, replacing a file that a dead agent left. `group` may use it too, when given.
    ///
    /// # Errors
    /// [`SocketError`] says who or what is in the way.
    pub async fn bind(path: &Path, group: Option<u32>) -> Result<Self, SocketError> {
        let refused = |cause| SocketError::Refused { path: path.to_owned(), cause, user: "the agent" };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(refused)?;
        }
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            // One that was killed answers until the kernel has taken it apart.
            let until = Instant::now() + PATIENCE;
            while UnixStream::connect(path).await.is_ok() {
                if Instant::now() >= until {
                    return Err(SocketError::InUse(path.to_owned()));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            match std::fs::remove_file(path) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(refused(why)),
                _ => {}
            }
        }
        // Between bind and chmod the umask of the process guards the file: the agent runs with 0077.
        let socket = UnixListener::bind(path).map_err(refused)?;
        let mode = if group.is_some() { 0o660 } else { 0o600 };
        if let Some(group) = group {
            std::os::unix::fs::chown(path, None, Some(group)).map_err(refused)?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(refused)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Lets the group reach a socket in the agent's own runtime directory, which is root's alone otherwise.
    ///
    /// # Errors
    /// [`SocketError::Refused`] when the directory cannot be changed.
    pub fn let_pass(runtime: &Path, path: &Path, group: u32) -> Result<(), SocketError> {
        if path.parent() != Some(runtime) {
            return Ok(());
        }
        let refused = |cause| SocketError::Refused { path: runtime.to_owned(), cause, user: "the agent" };
        let mode = std::fs::metadata(runtime).map_err(refused)?.permissions().mode();
        if mode & 0o011 == 0 {
            std::os::unix::fs::chown(runtime, None, Some(group)).map_err(refused)?;
            // To pass, not to list.
            std::fs::set_permissions(runtime, std::fs::Permissions::from_mode(mode | 0o010)).map_err(refused)?;
        }
        Ok(())
    }

    /// The next peer.
    ///
    /// # Errors
    /// As accept(2): when descriptors run out, for one. Try again after a pause.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.socket.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A file that is gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_of(dir: &Path) -> u32 {
        std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(dir).unwrap())
    }

    #[tokio::test]
    async fn a_living_agent_keeps_its_socket_and_a_dead_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/bartizan.sock");
        let first = Listener::bind(&path, None).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Listener::bind(&path, None).await, Err(SocketError::InUse(_))));
        std::mem::forget(first); // as a killed agent: the file stays, and here the socket too
        std::fs::remove_file(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        Listener::bind(&path, None).await.unwrap();
        let runtime = dir.path().join("sub");
        std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).unwrap();
        let own = group_of(&runtime);
        Listener::let_pass(&runtime, &path, own).unwrap();
        assert_eq!(std::fs::metadata(&runtime).unwrap().permissions().mode() & 0o777, 0o710);
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(Listener::bind(&dir.path().join("file"), None).await, Err(SocketError::NotASocket(_))));
    }
}
