//! One JSON document a line, never longer than both sides agreed on.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::ClientError;
use bartizan_protocol::MAX_LINE;

/// Memory kept for the next line after a long one.
const KEPT: usize = 256 * 1024;

/// Reads lines. A cancelled read loses nothing: what came so far stays for the next call.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    inner: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner: BufReader::with_capacity(64 * 1024, inner), line: Vec::new() }
    }

    /// The next document; `None` at the end of the stream.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            let chunk = self.inner.fill_buf().await?;
            if chunk.is_empty() {
                return if self.line.is_empty() {
                    Ok(None)
                } else {
                    Err(ClientError::Closed(Some("in the middle of a message".to_owned())))
                };
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |at| at + 1);
            if self.line.len() + taken > MAX_LINE {
                return Err(ClientError::TooLong);
            }
            self.line.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            self.inner.consume(taken);
            if end.is_some() {
                let document = serde_json::from_slice(&self.line).map_err(|e| ClientError::Garbled(e.to_string()));
                self.line.clear();
                self.line.shrink_to(KEPT);
                return document.map(Some);
            }
        }
    }
}

/// Writes one document as one line.
pub(super) async fn write<W: AsyncWrite + Unpin, T: Serialize>(writer: &mut W, document: &T) -> Result<(), ClientError> {
    let mut line = serde_json::to_vec(document).map_err(|e| ClientError::Garbled(e.to_string()))?;
    line.push(b'\n');
    if line.len() > MAX_LINE {
        return Err(ClientError::TooLong);
    }
    writer.write_all(&line).await?;
    writer.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endless_line_is_refused_without_being_kept() {
        let endless = tokio::io::repeat(b'x');
        let mut reader = LineReader::new(endless);
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(ClientError::TooLong)));
        assert!(reader.line.len() <= MAX_LINE);
    }

    #[tokio::test]
    async fn a_line_cut_in_pieces_is_one_document_and_half_a_line_is_an_error() {
        let (mut far, near) = tokio::io::duplex(4);
        let mut reader = LineReader::new(near);
        let writer = tokio::spawn(async move { far.write_all(b"{\"a\":1}\n[2").await });
        assert_eq!(reader.next::<serde_json::Value>().await.unwrap().unwrap()["a"], 1);
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(ClientError::Closed(_))));
        writer.await.unwrap().unwrap();
    }
}
