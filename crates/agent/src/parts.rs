//! The parts of the agent side by side, for those who join them: starting and ending, answering, health. No part knows this.

use std::sync::{Arc, Mutex};

use crate::accounting::Accounting;
use crate::alerts::Alerts;
use crate::archive::Archives;
use crate::console::Console;
use crate::fim::live::Live;
use crate::ingest::Ingest;
use crate::life::Life;
use crate::policy_words::{self, POLICY_WORDS};
use crate::record::Recorder;
use crate::response::Response;
use crate::troubles::Troubles;
use crate::upkeep::Upkeep;
use bartizan_config::{Policy, Settings};
use bartizan_model::BlindSpot;
use bartizan_sensors::{Ladder, ProcessCache};
use bartizan_store::ledger::Ledger;
use bartizan_sys::data_lock::DataLock;

/// All six, and what more than one of them uses: each of these is made for many users at once.
pub(crate) struct Parts {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) response: Arc<Response>,
    pub(crate) console: Arc<Console>,
    pub(crate) accounting: Arc<Accounting>,
    pub(crate) upkeep: Arc<Upkeep>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) life: Life,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) processes: Arc<ProcessCache>,
    pub(crate) ladder: Ladder,
    /// What the watching collectors cannot see on this host.
    pub(crate) watch_blind_spots: Vec<BlindSpot>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) archives: Arc<Archives>,
    pub(crate) recorder: Arc<Recorder>,
    /// Held by whoever gives the pipeline other exceptions.
    pub(crate) exceptions_turn: Mutex<()>,
    /// The files of the baseline.
    pub(crate) files: Arc<Live>,
    /// Nobody else works in the data directory.
    pub(crate) _lock: DataLock,
}

impl Parts {
    /// Everybody is told to end, and sleepers are woken.
    pub(crate) fn end(&self) {
        self.life.end();
        self.console.nudge();
        self.response.nudge();
        self.accounting.nudge();
        self.upkeep.nudge();
    }

    /// Takes a changed policy over. Settings of the agent itself (paths, lanes) need a restart.
    pub(crate) fn set_policy(&self, policy: &Policy) {
        self.ingest.set_policy(policy);
        self.response.set_policy(policy);
        self.console.set_policy(policy);
        self.troubles.report(POLICY_WORDS, policy_words::told(policy));
    }

    /// What the sensors cannot see: processes and sockets by the rung in use, files and accounts as found at the start.
    pub(crate) fn blind_spots(&self) -> Vec<BlindSpot> {
        self.ladder.blind_spots().into_iter().chain(self.watch_blind_spots.iter().cloned()).collect()
    }
}
