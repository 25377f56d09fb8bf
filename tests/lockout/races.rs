//! The owner comes from a new address in the very moment in which that address is blocked: either nobody is logged in from
//! there, or nobody is cut off.

use std::time::Duration;

use crate::stage::{Attempt, Must, Stage};
use crate::support::dice::Dice;
use crate::support::lan::HOST;
use crate::support::ssh::Session;

const ROUNDS: u64 = 12;

/// Somebody logs in from `source` and somebody blocks it, a few milliseconds apart.
fn race(stage: &Stage, source: &str, late: Duration) -> Result<bool, String> {
    stage.lan.operator.within(|| {
        let output =
            std::process::Command::new("ip").args(["address", "replace", &format!("{source}/24"), "dev", "wire"]).output().unwrap();
        assert!(output.status.success());
    });
    let (server, operator) = (&stage.server, &stage.lan.operator);
    let (session, blocked) = std::thread::scope(|scope| {
        let login = scope.spawn(move || Session::try_open(server, operator, source, HOST[0]));
        std::thread::sleep(late);
        let blocked = stage.home.run(&["block", source, "--for", "1m"]).status.success();
        // A connection that was still knocking when the block fell waits in vain: it ends when the block does.
        if blocked {
            std::thread::sleep(Duration::from_millis(500));
        }
        let was_in = login.is_finished();
        if blocked && !was_in {
            stage.home.run(&["rollback", "--all"]);
        }
        (login.join().unwrap(), blocked && was_in)
    });
    let Some(mut session) = session.filter(|_| blocked) else { return Ok(true) };
    if session.echoes(Duration::from_secs(5)) { Ok(true) } else { Err(format!("the session from {source} was cut off")) }
}

pub fn attempts(_stage: &Stage) -> Vec<Attempt> {
    let (_, mut dice) = Dice::of_this_run("lock-out races");
    let rounds = (0..ROUNDS).map(|round| {
        let late = Duration::from_millis(dice.below(250));
        let source = format!("192.0.2.{}", 20 + round);
        Attempt::new(format!("a login from {source} and its block {late:?} later"), Must::DoNoHarm, move |stage| race(stage, &source, late))
    });
    rounds.collect()
}
