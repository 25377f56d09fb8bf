//! Ten thousand active blocks compared with the kernel, the ledger included.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use bartizan_config::Policy;
use bartizan_enforce::nft::{Nft, Pieces, Table as Shape};
use bartizan_model::{Action, ActionId, ActionKind, ActionState, AuditBody, Direction, Lifeline, Target, WarrantId};
use bartizan_responder::{Responder, Ties, second_look};
use bartizan_store::ledger::{Anchor, Ledger};
use bartizan_sys::clock::Clock;

use crate::block::elements;
use crate::figures::{Table, median};
use crate::namespace::alone;

const BLOCKS: u32 = 10_000;
const ROUNDS: usize = 20;

fn action(n: u32) -> Action {
    let now = chrono::Utc::now();
    Action {
        id: ActionId(u64::from(n) + 1),
        kind: ActionKind::BlockAddress,
        target: Target::Address { addr: std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), direction: Direction::In },
        incident: None,
        warrant: WarrantId(u64::from(n) + 1),
        state: ActionState::Live,
        desired: bartizan_model::Desired::Live,
        planned_at: now,
        applied_at: Some(now),
        verified_at: Some(now),
        expires_at: now + chrono::Duration::seconds(600),
        ended_at: None,
        by: bartizan_model::Approver::Person("root".into()),
        reason: "a bench".into(),
        preview: Vec::new(),
        undo: Vec::new(),
        note: String::new(),
        evidence: None,
        confirmation: None,
        vitals: None,
    }
}

/// Milliseconds that this thread has run.
fn cpu_ms() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let ms = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    ms(used.user_time()) + ms(used.system_time())
}

pub fn measure(table: &mut Table) {
    let took = alone(|| {
        let home = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::open(home.path(), chrono::Utc::now()).unwrap());
        let (policy, clock) = (Policy::built_in().unwrap(), Clock::of_this_host());
        let ties = Ties {
            lifeline: Box::new(Lifeline::default),
            again: second_look(),
            tree: Box::new(|_| Vec::new()),
            alarm: Box::new(|alarm| panic!("{alarm:?}")),
            policy,
        };
        let responder = Responder::new(Arc::clone(&ledger), home.path(), ties).unwrap();
        let snapshot = serde_json::json!({ "connections": { "closed": 0, "forgotten": 0, "failures": [] } });
        let all: BTreeMap<u32, Action> = (0..BLOCKS).map(|n| (n, action(n))).collect();
        let planned = Anchor { boot: clock.boot(), ns: clock.now() };
        for action in all.values() {
            let line = AuditBody {
                at: action.planned_at,
                actor: "a bench".into(),
                what: "action.intended".into(),
                subject: action.id.to_string(),
                detail: String::new(),
            };
            ledger.intend(action, &snapshot, planned, &line).unwrap();
        }
        // Writing ten thousand rows took time, which the kernel's elements have no more.
        let written = all.values().next().map_or(0, |first| (chrono::Utc::now() - first.planned_at).num_milliseconds());
        let mut blocks = elements(BLOCKS);
        for block in &mut blocks {
            block.lasts -= std::time::Duration::from_millis(written.unsigned_abs());
        }
        Nft::open().unwrap().change(Shape::Make(Pieces::of(&blocks)), &[], &blocks, &|_| Ok(())).unwrap();
        let round = || {
            let (began, cpu) = (Instant::now(), cpu_ms());
            let seen = responder.reconcile(chrono::Utc::now()).unwrap();
            let took = (began.elapsed().as_secs_f64() * 1e3, cpu_ms() - cpu);
            assert!(seen.iter().all(|action| action.state == ActionState::Live), "{:?}", seen.first());
            took
        };
        round();
        (0..ROUNDS).map(|_| round()).unzip::<f64, f64, Vec<f64>, Vec<f64>>()
    });
    let (took, cpu) = took;
    table.row(&format!("{BLOCKS} active blocks, one round, median of {ROUNDS}"), format!("{:.1} ms", median(took.clone())), "<= 50 ms");
    table.row("  of it on the processor", format!("{:.1} ms", median(cpu)), "");
    table.row("  the longest", format!("{:.1} ms", took.iter().copied().fold(0.0, f64::max)), "");
}
