//! An agent on another host: its socket comes over the standard streams of ssh(1), no port of ours is open there.

use std::fmt;
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use super::ClientError;
use super::relay::PREFACE;
use bartizan_model::{Unpoisoned as _, sentence};

/// What is run on the other host unless told otherwise.
pub const RELAY: &str = "bartizan relay";
/// How long a person may take for a passphrase or the question about a host key.
const BY_HAND: Duration = Duration::from_secs(120);
/// How long a connection without anybody to ask may take.
const BY_ITSELF: Duration = Duration::from_secs(20);
/// What shells print before the relay speaks, in bytes: a login message, an echo in a start-up file.
const MOST_NOISE: usize = 64 * 1024;
/// Longest line kept of what ssh says, in bytes.
const LONGEST_SAID: u64 = 400;
/// Most lines of it that are shown before the console opens.
const MOST_SHOWN: usize = 40;
/// How long the last words of an ssh that ends are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Starts ssh(1) with these arguments and this stream as its standard input and output; gives what ends it when dropped, and the pipe
/// that its standard error is. Who starts programs is not this crate's business.
pub type StartSsh = fn(&[String], OwnedFd) -> io::Result<(Box<dyn Send + Sync>, OwnedFd)>;

/// Where another agent is: `ssh://[user@]host[:port]`, and the command that relays its socket there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    relay: String,
}

/// What is wrong with the name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not ssh://[user@]host[:port]: {1}")]
pub struct BadHost(String, &'static str);

impl SshHost {
    /// The same, with another command on that host: `sudo -n bartizan relay`.
    #[must_use]
    pub fn by(mut self, relay: &str) -> Self {
        relay.clone_into(&mut self.relay);
        self
    }

    /// Connects and waits until the relay there speaks. `asks`: a person is at the terminal, ssh may ask there.
    pub(super) async fn open(&self, start: StartSsh, asks: bool) -> Result<(UnixStream, Said), ClientError> {
        let (near, far) = UnixStream::pair()?;
        let far = OwnedFd::from(far.into_std()?);
        let (carrier, pipe) = start(&self.arguments(asks), far).map_err(|why| self.failed(&format!("ssh cannot be started: {why}")))?;
        let said = Said::default();
        let listening = tokio::spawn(listen(Receiver::from_owned_fd(pipe)?, carrier, said.clone(), asks));
        let mut near = near;
        let why = match timeout(if asks { BY_HAND } else { BY_ITSELF }, preface(&mut near)).await {
            Ok(Ok(())) => {
                said.be_quiet();
                return Ok((near, said));
            }
            Ok(Err(why)) => why.to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        // Then ssh ends, and its last words say more than we know.
        drop(near);
        if let Err(_late) = timeout(LAST_WORDS, &mut { listening }).await {
            said.be_quiet();
        }
        // A person has read it already.
        let said = said.last().map(|said| if asks { "ssh says why above".to_owned() } else { said });
        Err(self.failed(&said.unwrap_or(why)))
    }

    fn arguments(&self, asks: bool) -> Vec<String> {
        // A silent network is noticed within fifteen seconds; nothing of ours is forwarded to a host that may be taken.
        let mut arguments = vec!["-T", "-x", "-a", "-k"];
        let options = [
            "ServerAliveInterval=5", "ServerAliveCountMax=3", "ConnectTimeout=15", "ClearAllForwardings=yes", "PermitLocalCommand=no",
            "Tunnel=no",
        ];
        arguments.extend(options.into_iter().chain((!asks).then_some("BatchMode=yes")).flat_map(|option| ["-o", option]));
        let port = self.port.map(|port| port.to_string());
        arguments.extend(port.iter().flat_map(|port| ["-p", port]));
        arguments.extend(self.user.iter().flat_map(|user| ["-l", user]));
        arguments.extend(["--", &self.host, &self.relay]);
        arguments.into_iter().map(str::to_owned).collect()
    }

    fn failed(&self, why: &dyn fmt::Display) -> ClientError {
        ClientError::Remote { host: self.to_string(), why: why.to_string() }
    }
}

impl FromStr for SshHost {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = |why| BadHost(text.chars().take(200).collect(), why);
        let rest = text.strip_prefix("ssh://").ok_or_else(|| bad("it must begin with ssh://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let (host, port) = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((inner, after)) => {
                inner.parse::<Ipv6Addr>().map_err(|_| bad("what stands in brackets is an IPv6 address"))?;
                (inner, after.strip_prefix(':').or((!after.is_empty()).then_some("x")))
            }
            None if place.matches(':').count() > 1 => return Err(bad("an IPv6 address stands in brackets")),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port =
            port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| bad("a port is a number from 1 to 65535")));
        // ssh takes what begins with a hyphen for an option, and hands names to commands of its configuration (%h, %r).
        let is_plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('-')
                && name.len() <= 255
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b))
        };
        if place.contains('/') {
            return Err(bad("a path means nothing here: --relay names the command to run there"));
        }
        if !is_plain(host) {
            return Err(bad("a host is a name or an address"));
        }
        if !user.is_none_or(|user| is_plain(user) && !user.contains(':')) {
            return Err(bad("a user is the name of an account; ssh itself asks for a password"));
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port: port.transpose()?, relay: RELAY.to_owned() })
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The last thing that ssh, or the relay, said on its error stream.
#[derive(Debug, Clone, Default)]
pub struct Said(Arc<Mutex<(Option<String>, bool)>>);

impl Said {
    /// That line, safe to show.
    pub fn last(&self) -> Option<String> {
        self.0.lock().unpoisoned().0.clone()
    }

    fn say(&self, line: String) -> bool {
        let mut said = self.0.lock().unpoisoned();
        said.0 = Some(line);
        said.1
    }

    /// From here on nothing is shown: the terminal belongs to the console.
    fn be_quiet(&self) {
        *self.0.lock().unpoisoned() = (None, true);
    }
}

/// Waits for the relay's first line, past whatever the shell there prints before it.
async fn preface(stream: &mut UnixStream) -> Result<(), ClientError> {
    let mut line = Vec::new();
    // Byte by byte: what follows the line belongs to whoever reads next.
    for _ in 0..MOST_NOISE {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Err(ClientError::Closed(Some("no relay answered there".to_owned())));
        }
        let [byte] = byte;
        if byte != b'\n' {
            line.push(byte);
        } else if line.strip_suffix(b"\r").unwrap_or(&line) == PREFACE.as_bytes() {
            return Ok(());
        } else {
            line.clear();
        }
    }
    Err(ClientError::Garbled("something other than a relay answers".to_owned()))
}

/// Keeps the last line that ssh says; shows each while nobody draws on the terminal.
async fn listen(stderr: Receiver, carrier: Box<dyn Send + Sync>, said: Said, shows: bool) {
    // It ends when either side hangs up, and its error stream with it.
    let _carrier = carrier;
    let mut reader = BufReader::new(stderr);
    let mut left = MOST_SHOWN;
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LONGEST_SAID).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = sentence(String::from_utf8_lossy(&line).trim());
        if !text.is_empty() && !said.say(text.clone()) && shows && left > 0 {
            left -= 1;
            eprintln!("{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_and_nothing_becomes_an_option_of_ssh() {
        for (text, shown) in [
            ("ssh://web-2", "web-2"),
            ("ssh://root@web-2:2222/", "root@web-2:2222"),
            ("ssh://root@[2001:db8::7]:22", "root@[2001:db8::7]:22"),
            ("ssh://a.b_c@198.51.100.7", "a.b_c@198.51.100.7"),
        ] {
            assert_eq!(text.parse::<SshHost>().unwrap().to_string(), shown);
        }
        for text in [
            "web-2", "ssh://", "ssh://@web", "ssh://-oProxyCommand=id", "ssh://-l@web", "ssh://a b", "ssh://web:0", "ssh://web:70000",
            "ssh://web:22:23", "ssh://[web]", "ssh://[::1]22", "ssh://web;id", "ssh://we\nb", "ssh://$(id)@web", "ssh://web/path",
            "ssh://root:secret@web",
        ] {
            assert!(text.parse::<SshHost>().is_err(), "{text}");
        }
        let host: SshHost = "ssh://me@web:7".parse().unwrap();
        let arguments = host.arguments(false);
        assert_eq!(arguments.iter().rev().take(7).rev().collect::<Vec<_>>(), ["-p", "7", "-l", "me", "--", "web", RELAY]);
        assert!(arguments.iter().any(|argument| argument == "BatchMode=yes"));
    }

    #[tokio::test]
    async fn what_a_shell_prints_before_the_relay_is_passed_over() {
        use tokio::io::AsyncWriteExt;
        let (mut near, mut far) = UnixStream::pair().unwrap();
        far.write_all(format!("Welcome\n\x1b[31mto web-2\r\n{PREFACE}\r\n{{}}").as_bytes()).await.unwrap();
        preface(&mut near).await.unwrap();
        let mut rest = [0; 2];
        near.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"{}");

        let (mut near, mut far) = UnixStream::pair().unwrap();
        let writer = tokio::spawn(async move { while far.write_all(&[b'x'; 1024]).await.is_ok() {} });
        assert!(matches!(preface(&mut near).await, Err(ClientError::Garbled(_))), "noise without an end is not waited for");
        drop(near);
        writer.await.unwrap();
    }
}
