//! A connection in two halves for the console: questions go out without waiting, everything comes in through one door.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ClientError;
use super::line::{self, LineReader};
use crate::protocol::{ClientFrame, Push, Reply, Request, ServerFrame};

/// Questions that may wait for the socket.
const QUESTIONS: usize = 64;
/// News that may wait for the console; when full, the agent's own queue for this client fills and it counts the loss.
const NEWS: usize = 256;

/// What comes in.
#[derive(Debug)]
pub enum News {
    /// News nobody asked for.
    Push(Box<Push>),
    /// The answer to the question with this ticket.
    Reply {
        /// As [`Asker::ask`] gave it.
        ticket: u64,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// Sends questions.
#[derive(Debug, Clone)]
pub struct Asker {
    questions: mpsc::Sender<ClientFrame>,
    asked: Arc<AtomicU64>,
}

impl Asker {
    /// Sends a question and gives its ticket; the answer arrives in the [`Inbox`].
    ///
    /// # Errors
    /// [`ClientError::Busy`] when too many wait to be sent, [`ClientError::Closed`] when the connection ended.
    pub fn ask(&self, request: Request) -> Result<u64, ClientError> {
        let ticket = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.questions.try_send(ClientFrame { id: ticket, request }).map(|()| ticket).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ClientError::Busy,
            mpsc::error::TrySendError::Closed(_) => ClientError::Closed(None),
        })
    }
}

/// Receives pushes and answers in the order in which the agent sent them.
#[derive(Debug)]
pub struct Inbox {
    news: mpsc::Receiver<Result<News, ClientError>>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Inbox {
    /// What came next; waits for it. Loses nothing when cancelled.
    ///
    /// # Errors
    /// Once, with the reason, when the connection ended; [`ClientError::Closed`] from then on.
    pub async fn next(&mut self) -> Result<News, ClientError> {
        self.news.recv().await.unwrap_or(Err(ClientError::Closed(None)))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

pub(super) fn split(mut reader: LineReader<OwnedReadHalf>, mut writer: OwnedWriteHalf, asked: u64, kept: VecDeque<Push>) -> (Asker, Inbox) {
    let (questions, mut to_send) = mpsc::channel::<ClientFrame>(QUESTIONS);
    let (deliver, news) = mpsc::channel(NEWS);
    let failed = deliver.clone();
    let writer = tokio::spawn(async move {
        while let Some(frame) = to_send.recv().await {
            if let Err(error) = line::write(&mut writer, &frame).await {
                let _ = failed.send(Err(error)).await;
                return;
            }
        }
    });
    let reader = tokio::spawn(async move {
        for push in kept {
            if deliver.send(Ok(News::Push(Box::new(push)))).await.is_err() {
                return;
            }
        }
        loop {
            let news = match reader.next::<ServerFrame>().await {
                Ok(Some(ServerFrame::Push(push))) => Ok(News::Push(push)),
                Ok(Some(ServerFrame::Reply { id, reply })) => Ok(News::Reply { ticket: id, reply }),
                Ok(None) => Err(ClientError::Closed(None)),
                Err(error) => Err(error),
            };
            let ended = news.is_err();
            if deliver.send(news).await.is_err() || ended {
                return;
            }
        }
    });
    (Asker { questions, asked: Arc::new(AtomicU64::new(asked)) }, Inbox { news, reader, writer })
}
