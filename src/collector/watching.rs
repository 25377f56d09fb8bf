//! The registry of what is watched besides processes and sockets: one line a collector.

use std::sync::Arc;

use super::accounts::Accounts;
use super::attribution::Attribution;
use super::credentials::Credentials;
use super::persistence::Persistence;
use super::places::Places;
use super::privilege::Privileges;
use super::{Collector, World};
use crate::config::Policy;

/// The collectors of files, accounts, secrets and privilege, each for a thread of its own.
pub fn watch_collectors(policy: &Policy, places: &Places, world: &Arc<World>) -> Vec<Box<dyn Collector>> {
    let who = Attribution::from_world(Arc::clone(world));
    vec![
        Box::new(Persistence::new(places.clone(), who.clone())),
        Box::new(Credentials::new(&policy.credentials.files, places.clone(), who.clone())),
        Box::new(Accounts::under(places.root(), who.clone())),
        Box::new(Privileges::new(who)),
    ]
}
