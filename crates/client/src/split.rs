//! A connection in two halves for the console: questions go out without waiting, everything comes in through one door.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::ClientError;
use super::line::{self, LineReader};
use super::token_cache::TokenCache;
use bartizan_model::Unpoisoned as _;
use bartizan_protocol::{ClientFrame, ErrorCode, Push, Reply, Request, ServerFrame, Token};

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
        self.questions.try_send(ClientFrame { id: ticket, request, token: None }).map(|()| ticket).map_err(|error| match error {
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

/// The number of our own question for another pass; the console's tickets begin with 1.
const RENEWAL: u64 = 0;
/// How long a question waits for another pass before it goes without.
const RENEWAL_TAKES: Duration = Duration::from_secs(5);

/// What the two halves share: the pass, and questions that would have to be asked again if it had lapsed.
struct Pending {
    token_cache: TokenCache,
    renewed: Notify,
    /// Unanswered questions that went with a token, and whether they were asked twice already.
    unanswered: Mutex<HashMap<u64, (Request, bool)>>,
}

impl Pending {
    fn unanswered(&self) -> MutexGuard<'_, HashMap<u64, (Request, bool)>> {
        self.unanswered.lock().unpoisoned()
    }

    /// Remembers a question that goes with a token, within bounds: beyond them it is not asked again by itself.
    fn goes_out(&self, frame: &ClientFrame) {
        let mut unanswered = self.unanswered();
        if unanswered.len() < QUESTIONS {
            unanswered.entry(frame.id).or_insert((frame.request.clone(), false));
        }
    }

    /// The question to ask again, when this is the first time that its token was called lapsed.
    fn again(&self, id: u64, reply: &Reply) -> bool {
        let mut unanswered = self.unanswered();
        let lapsed = matches!(reply, Reply::Refused(refusal) if refusal.code == ErrorCode::Lapsed);
        match unanswered.get_mut(&id) {
            Some((_, twice)) if lapsed && !*twice => {
                *twice = true;
                true
            }
            _ => {
                unanswered.remove(&id);
                false
            }
        }
    }

    /// A token for this question, renewed when need be.
    async fn token(&self, request: &Request, writer: &mut OwnedWriteHalf) -> Result<Option<Token>, ClientError> {
        let needs = request.needs();
        if !self.token_cache.is_wanted(needs) {
            return Ok(None);
        }
        if let Some(token) = self.token_cache.fit_for(needs) {
            return Ok(Some(token));
        }
        line::write(writer, &ClientFrame { id: RENEWAL, request: Request::Renew { scope: needs }, token: None }).await?;
        // Without an answer the question goes all the same: the agent says best why it does not do.
        let _ = tokio::time::timeout(RENEWAL_TAKES, self.renewed.notified()).await;
        Ok(self.token_cache.any())
    }
}

pub(super) fn split(
    reader: LineReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    asked: u64,
    kept: VecDeque<Push>,
    token_cache: TokenCache,
) -> (Asker, Inbox) {
    let (questions, to_send) = mpsc::channel::<ClientFrame>(QUESTIONS);
    let (deliver, news) = mpsc::channel(NEWS);
    let (again, to_repeat) = mpsc::channel::<u64>(QUESTIONS);
    let pending = Arc::new(Pending { token_cache, renewed: Notify::new(), unanswered: Mutex::default() });
    let (failed, writing) = (deliver.clone(), Arc::clone(&pending));
    let writer = tokio::spawn(async move {
        if let Err(error) = send(writer, to_send, to_repeat, &writing).await {
            let _ = failed.send(Err(error)).await;
        }
    });
    let reader = tokio::spawn(receive(reader, kept, deliver, again, pending));
    (Asker { questions, asked: Arc::new(AtomicU64::new(asked)) }, Inbox { news, reader, writer })
}

/// Sends questions, those to be repeated first, each with a token where it needs one.
async fn send(
    mut writer: OwnedWriteHalf,
    mut to_send: mpsc::Receiver<ClientFrame>,
    mut to_repeat: mpsc::Receiver<u64>,
    pending: &Pending,
) -> Result<(), ClientError> {
    loop {
        let mut frame = tokio::select! {
            biased;
            Some(id) = to_repeat.recv() => {
                let Some((request, _)) = pending.unanswered().get(&id).cloned() else { continue };
                ClientFrame { id, request, token: None }
            }
            frame = to_send.recv() => match frame {
                Some(frame) => frame,
                None => return Ok(()),
            },
        };
        frame.token = pending.token(&frame.request, &mut writer).await?;
        if frame.token.is_some() {
            pending.goes_out(&frame);
        }
        line::write(&mut writer, &frame).await?;
    }
}

/// Delivers what comes in; what concerns the pass alone stays here.
async fn receive(
    mut reader: LineReader<OwnedReadHalf>,
    kept: VecDeque<Push>,
    deliver: mpsc::Sender<Result<News, ClientError>>,
    again: mpsc::Sender<u64>,
    pending: Arc<Pending>,
) {
    for push in kept {
        if deliver.send(Ok(News::Push(Box::new(push)))).await.is_err() {
            return;
        }
    }
    loop {
        let news = match reader.next::<ServerFrame>().await {
            Ok(Some(ServerFrame::Push(push))) => Ok(News::Push(push)),
            Ok(Some(ServerFrame::Reply { id: RENEWAL, reply })) => {
                if let Reply::Pass(pass) = *reply {
                    pending.token_cache.keep(pass);
                }
                pending.renewed.notify_one();
                continue;
            }
            Ok(Some(ServerFrame::Reply { id, reply })) => {
                if pending.again(id, &reply) {
                    pending.token_cache.throw_away();
                    if again.try_send(id).is_ok() {
                        continue;
                    }
                }
                Ok(News::Reply { ticket: id, reply })
            }
            Ok(None) => Err(ClientError::Closed(None)),
            Err(error) => Err(error),
        };
        let ended = news.is_err();
        if deliver.send(news).await.is_err() || ended {
            return;
        }
    }
}
