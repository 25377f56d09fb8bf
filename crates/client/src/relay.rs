//! The far half of `attach ssh://`: carries the agent's socket over standard input and output.

use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::ClientError;
use super::connection::connect;

/// The first line that a relay writes: what a shell printed before it is none of ours.
pub(super) const PREFACE: &str = "bartizan relay 1";

/// Connects to the agent's socket and carries bytes in both directions until either side hangs up. The agent sees this process as
/// its client: what may be asked follows from the account that runs it.
///
/// # Errors
/// As [`super::Connection::open`] when nobody answers; [`ClientError::Broken`] when carrying fails.
pub async fn relay(path: &Path, mut input: impl AsyncRead + Unpin, mut output: impl AsyncWrite + Unpin) -> Result<(), ClientError> {
    let mut agent = connect(path).await?;
    output.write_all(format!("{PREFACE}\n").as_bytes()).await?;
    output.flush().await?;
    let (mut from_agent, mut to_agent) = agent.split();
    // Whoever hangs up first ends it: an agent without a client, or a client without an agent, has nothing to wait for.
    let carried = tokio::select! {
        carried = tokio::io::copy(&mut input, &mut to_agent) => carried,
        carried = carry(&mut from_agent, &mut output) => carried,
    };
    carried.map(drop).map_err(ClientError::Broken)
}

/// Carries what comes, each piece at once.
async fn carry(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<u64> {
    use tokio::io::AsyncReadExt;
    let mut buffer = vec![0; 64 * 1024];
    let mut carried = 0;
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return Ok(carried);
        }
        to.write_all(buffer.get(..n).unwrap_or_default()).await?;
        to.flush().await?;
        carried += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn bytes_go_both_ways_and_it_ends_with_either_side() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        assert!(matches!(relay(&path, tokio::io::empty(), tokio::io::sink()).await, Err(ClientError::NoAgent { .. })));

        let listener = UnixListener::bind(&path).unwrap();
        let (near, far) = tokio::io::duplex(64);
        let (input, output) = tokio::io::split(far);
        let carried = tokio::spawn({
            let path = path.clone();
            async move { relay(&path, input, output).await }
        });
        let (mut agent, _) = listener.accept().await.unwrap();
        let mut near = BufReader::new(near);
        let mut line = String::new();
        near.read_line(&mut line).await.unwrap();
        assert_eq!(line, format!("{PREFACE}\n"));
        near.get_mut().write_all(b"hello\n").await.unwrap();
        let mut heard = [0; 6];
        agent.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello\n");
        // Longer than anything in between holds.
        let long = vec![b'z'; 300_000];
        let send = tokio::spawn(async move { agent.write_all(&long).await });
        let mut all = vec![0; 300_000];
        near.read_exact(&mut all).await.unwrap();
        assert!(all.iter().all(|byte| *byte == b'z'));
        send.await.unwrap().unwrap();
        // The agent hung up.
        tokio::time::timeout(std::time::Duration::from_secs(5), carried).await.unwrap().unwrap().unwrap();
    }
}
