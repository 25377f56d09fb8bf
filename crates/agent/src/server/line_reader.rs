//! Hears one peer: whole lines, bounded, and only from the process that connected.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

use super::Peer;
use bartizan_sys::peer_sender;

/// Longest question, in bytes. The longest real one, an edited plan with a reason, is below 64 KiB.
const MAX_QUESTION: usize = 256 * 1024;
/// Bytes of one read.
const CHUNK: usize = 16 * 1024;

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// One line, without its end.
    Line(Vec<u8>),
    /// Another process than the one that connected wrote to the connection.
    Stranger(u32),
    /// The peer left, or said more than a question can be long.
    Left,
}

/// Hears one peer.
pub(super) struct LineReader {
    half: OwnedReadHalf,
    pid: Option<u32>,
    heard: Vec<u8>,
    /// Since when a line is begun and not ended.
    begun: Option<Instant>,
    chunk: Vec<u8>,
}

impl LineReader {
    /// For this peer. Where the kernel does not tell senders, only who connected is known.
    pub(super) fn new(half: OwnedReadHalf, peer: &Peer) -> Self {
        let stream: &UnixStream = half.as_ref();
        if let Err(error) = peer_sender::ask_for_senders(stream.as_fd()) {
            tracing::warn!(%error, "the kernel does not tell which process writes to the control socket");
        }
        Self { half, pid: peer.pid, heard: Vec::new(), begun: None, chunk: vec![0; CHUNK] }
    }

    /// Since when the peer owes us the end of a line.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// The next line; waits for it. Loses nothing when cancelled: half a line stays.
    pub(super) async fn listen(&mut self) -> Heard {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let rest = self.heard.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.heard, rest);
                line.pop();
                self.begun = (!self.heard.is_empty()).then(Instant::now);
                return Heard::Line(line);
            }
            if self.heard.len() >= MAX_QUESTION {
                return Heard::Left;
            }
            match self.read().await {
                Ok((0, _)) | Err(_) => return Heard::Left,
                Ok((_, Some(writer))) if self.pid.is_some_and(|pid| pid != writer) => return Heard::Stranger(writer),
                Ok((length, _)) => {
                    self.begun = self.begun.or_else(|| Some(Instant::now()));
                    self.heard.extend_from_slice(self.chunk.get(..length).unwrap_or_default());
                }
            }
        }
    }

    async fn read(&mut self) -> io::Result<(usize, Option<u32>)> {
        let stream: &UnixStream = self.half.as_ref();
        loop {
            stream.readable().await?;
            // Nothing is awaited between the read and the return, so a cancelled wait has read nothing.
            match stream.try_io(Interest::READABLE, || peer_sender::receive(stream.as_fd(), &mut self.chunk)) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                outcome => return outcome,
            }
        }
    }
}
