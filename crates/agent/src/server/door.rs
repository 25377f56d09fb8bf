//! The door of the control socket: lets peers in as long as there are places, and tells the others why not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::connection::{self, Connection};
use super::places::{Full, Place, Places};
use super::silent::{self, Silent};
use super::{Gate, Listener};
use crate::Engine;
use bartizan_model::Role;
use bartizan_protocol::{ErrorCode, ServerFrame};
use bartizan_sys::descriptors;

/// How long a refused peer may take to read why.
const PARTING: Duration = Duration::from_secs(1);
/// After a refusal of the kernel: descriptors run out, for one.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the engine is told that this loop turns.
const ROUND: Duration = Duration::from_secs(2);
/// Why a peer is refused when descriptors run out.
const TOO_FEW: &str = "too few files may be open at once, and those that are left are kept for acting";
/// How long a place is sought for a peer: others may be faster to take it.
const ROOM: Duration = Duration::from_millis(400);
/// How long whoever was cut may take to leave its place.
const LEAVING: Duration = Duration::from_millis(5);
/// What a refused peer can do.
const CLOSE_SOME: &str = "close some of them (`ss -xp` lists who has them), or ask as root";

/// Serves whoever comes, until it is aborted.
pub async fn attend(listener: Listener, engine: Arc<Engine>, gate: Arc<Gate>, places: Arc<Places>) {
    let (mut round, mut answering) = (tokio::time::interval(ROUND), None::<JoinHandle<()>>);
    let silent = Arc::<Silent>::default();
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
                let (engine, gate) = (Arc::clone(&engine), Arc::clone(&gate));
                tokio::spawn(receive(stream, engine, gate, Arc::clone(&places), Arc::clone(&silent)));
            }
            Err(error) => {
                // Nobody knows yet who waits outside: whoever is silent makes room.
                if !silent.cut_one(Role::Admin) {
                    tracing::warn!(%error, "the control socket cannot accept");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one peer if there is a place for it and a descriptor to spare.
async fn receive(stream: UnixStream, engine: Arc<Engine>, gate: Arc<Gate>, places: Arc<Places>, silent: Arc<Silent>) {
    let spare = descriptors::leaves_enough(&stream);
    let Some(connection) = Connection::new(engine, stream, gate) else { return };
    let peer = connection.peer();
    let (number, role, trusted) = (peer.connection, peer.role, peer.is_trusted());
    let place = match placed(&places, &silent, &connection).await {
        Ok(place) => place,
        Err(full) => return part(connection, &full.to_string()).await,
    };
    if spare || silent.cut_one(role) || trusted {
        connection.serve_newcomer(silent.enter(number, role)).await;
        drop(place);
    } else {
        part(connection, TOO_FEW).await;
    }
}

/// A place. When all are taken, whoever is root and speaks gets that of somebody who has not greeted, as soon as one has had its time.
async fn placed(places: &Arc<Places>, silent: &Silent, connection: &Connection) -> Result<Place, Full> {
    let peer = connection.peer();
    let (uid, role, trusted) = (peer.uid, peer.role, peer.is_trusted());
    let mut taken = places.take(uid, role, trusted);
    if taken.is_ok() || !trusted || !connection.speaks(silent::GRACE).await {
        return taken;
    }
    let until = Instant::now() + ROOM;
    while taken.is_err() && Instant::now() < until {
        silent.cut_one(role);
        // Until the one that was cut has left its place.
        tokio::time::sleep(LEAVING).await;
        taken = places.take(uid, role, trusted);
    }
    taken
}

/// Says why, once, and closes. It takes no place, and no longer than [`PARTING`].
async fn part(mut connection: Connection, why: &str) {
    let said = ServerFrame::Reply { id: 0, reply: Box::new(connection::refusal(ErrorCode::Refused, why, CLOSE_SOME)) };
    // Nobody may be listening.
    let _ = tokio::time::timeout(PARTING, connection.send(&said)).await;
}
