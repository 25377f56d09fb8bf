//! Detectors: one behaviour a file. An event in, detection out; no I/O, no clock.

mod acts;
mod container_escape;
mod context;
mod credential_read;
mod dangerous_file;
mod database_calls_out;
mod detection;
mod detector_set;
mod deviations;
mod exec_from_writable;
mod guard_alarm;
mod guard_attacked;
mod indicator_match;
pub mod jails;
mod kinship;
pub mod logins;
mod module_load;
mod new_privileged_user;
mod persistence_by_service;
mod ptrace_other;
mod rule_hits;
#[cfg(test)]
mod scene;
mod shell_connects;
mod shell_on_socket;
pub mod tally;
mod unexpected_listener;
pub mod web;
mod web_server_shell;

pub use context::{DetectorContext, Words};
pub use detection::{Detection, Detector, Info};
pub use detector_set::{DetectorSet, catalogue, full_catalogue};
pub use deviations::teach;

use bartizan_model::{Flow, HostText};

/// The registry: one line a detector. Order gives nothing but the numbers of signals.
fn registry(known_listeners: &[(Flow, Option<HostText>)]) -> Vec<Box<dyn Detector>> {
    vec![
        Box::new(web_server_shell::WebServerShell),
        Box::new(shell_on_socket::ShellOnSocket::default()),
        Box::new(shell_connects::ShellConnects),
        Box::new(database_calls_out::DatabaseCallsOut),
        Box::new(exec_from_writable::ExecFromWritable),
        Box::new(unexpected_listener::UnexpectedListener::new(known_listeners)),
        Box::new(new_privileged_user::NewPrivilegedUser),
        Box::new(persistence_by_service::PersistenceByService),
        Box::new(ptrace_other::PtraceOther),
        Box::new(module_load::ModuleLoad),
        Box::new(container_escape::ContainerEscape),
        Box::new(credential_read::CredentialRead),
        Box::new(dangerous_file::DangerousFile),
        Box::new(guard_attacked::GuardAttacked),
        Box::new(guard_alarm::GuardAlarm),
    ]
}
