//! The door of the control socket: lets peers in as long as there are places, and tells the others why not.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::connection::{self, Connection};
use super::places::Places;
use super::{Gate, Listener};
use crate::Engine;
use bartizan_protocol::{ErrorCode, ServerFrame};

/// How long a refused peer may take to read why.
const PARTING: Duration = Duration::from_secs(1);
/// After a refusal of the kernel: descriptors run out, for one.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the engine is told that this loop turns.
const ROUND: Duration = Duration::from_secs(2);
/// What a refused peer can do.
const CLOSE_SOME: &str = "close some of them (`ss -xp` lists who has them), or ask as root";

/// Serves whoever comes, until it is aborted.
pub async fn attend(listener: Listener, engine: Arc<Engine>, gate: Arc<Gate>, places: Arc<Places>) {
    let (mut round, mut answering) = (tokio::time::interval(ROUND), None::<JoinHandle<()>>);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = round.tick() => {
                // The same threads that carry questions out; one that is still on its way says enough.
                if answering.as_ref().is_none_or(JoinHandle::is_finished) {
                    let engine = Arc::clone(&engine);
                    answering = Some(tokio::task::spawn_blocking(move || engine.server_moves()));
                }
                continue;
            }
        };
        match accepted {
            Ok(stream) => {
                let (engine, gate, places) = (Arc::clone(&engine), Arc::clone(&gate), Arc::clone(&places));
                tokio::spawn(async move {
                    let Some(connection) = Connection::new(engine, stream, gate) else { return };
                    let peer = connection.peer();
                    match places.take(peer.uid, peer.role, peer.is_trusted()) {
                        Ok(place) => {
                            connection.serve().await;
                            drop(place);
                        }
                        Err(full) => part(connection, &full.to_string()).await,
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Says why, once, and closes. It takes no place, and no longer than [`PARTING`].
async fn part(mut connection: Connection, why: &str) {
    let said = ServerFrame::Reply { id: 0, reply: Box::new(connection::refusal(ErrorCode::Refused, why, CLOSE_SOME)) };
    // Nobody may be listening.
    let _ = tokio::time::timeout(PARTING, connection.send(&said)).await;
}
