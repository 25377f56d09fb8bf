//! A rung of the ladder, opened: kernel programs, process connector, or /proc.

use super::intake::Intake;
use super::{ProcessCache, Sink, Stop, process_connector, process_ebpf, process_polling};
use bartizan_model::Rung;
use bartizan_sys::bpf::{Counters, Sensor};
use bartizan_sys::process_connector::Connector;

/// A rung's open door to the kernel.
pub(super) enum SensorBackend {
    Ebpf(Box<Intake>),
    ProcessConnector(Connector),
    Procfs,
    /// Does what a test wants.
    #[cfg(test)]
    Trial(Trial),
}

#[cfg(test)]
pub(super) type Trial = Box<dyn FnMut(&dyn Sink, &Stop) -> Result<(), String> + Send>;

/// Opens a rung for real.
pub(super) fn open(rung: Rung) -> Result<SensorBackend, String> {
    match rung {
        Rung::Ebpf => {
            let sensor = Sensor::load().map_err(|e| e.to_string())?;
            let intake = Intake::start(sensor, Vec::new(), Counters::default()).map_err(|e| format!("starting a thread: {e}"))?;
            Ok(SensorBackend::Ebpf(Box::new(intake)))
        }
        Rung::ProcessConnector => Connector::open().map(SensorBackend::ProcessConnector).map_err(|e| e.to_string()),
        Rung::Procfs => Ok(SensorBackend::Procfs),
    }
}

impl SensorBackend {
    /// What this rung usually sees and does not see here, and why.
    pub(super) fn unseen(&self) -> Vec<(&'static str, String)> {
        const UDP: &str = "UDP destinations";
        match self {
            Self::Ebpf(intake) => {
                let udp = intake.programs.udp().err().map(|why| (UDP, why.to_owned()));
                udp.into_iter().chain(intake.programs.unseen()).collect()
            }
            Self::ProcessConnector(_) | Self::Procfs => vec![(UDP, "only eBPF sees UDP".to_owned())],
            #[cfg(test)]
            Self::Trial(_) => Vec::new(),
        }
    }

    /// Feeds the cache and the sink until told to stop; else why it cannot go on.
    pub(super) fn run(&mut self, cache: &ProcessCache, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
        match self {
            Self::Ebpf(intake) => process_ebpf::run(intake, cache, sink, stop),
            Self::ProcessConnector(connector) => process_connector::run(connector, cache, sink, stop),
            Self::Procfs => process_polling::run(cache, sink, stop),
            #[cfg(test)]
            Self::Trial(run) => run(sink, stop),
        }
    }
}
