//! Detectors: one behaviour a file. An event in, opinions out; no I/O, no clock.

mod kinship;
mod opinion;
mod panel;
mod sight;
mod web_server_shell;

pub use opinion::{Detector, Info, Opinion};
pub use panel::{Panel, catalogue};
pub use sight::{Sight, Words};

use crate::model::{Flow, HostText};

/// The registry: one line a detector. Order gives nothing but the numbers of signals.
fn registry(_known_listeners: &[(Flow, Option<HostText>)]) -> Vec<Box<dyn Detector>> {
    vec![
        Box::new(web_server_shell::WebServerShell),
    ]
}
