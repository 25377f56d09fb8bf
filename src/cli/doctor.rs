//! `doctor`: the running agent examines itself; without one, this process tries everything it can.

use super::args::Global;
use super::ask::{runtime, settings, socket};
use super::outcome::{Failure, NO_AGENT, Outcome};
use super::print;
use bartizan_agent::switches;
use bartizan_client::Connection;
use bartizan_model::{Check, CheckState};
use bartizan_protocol::{Reply, Request};

/// Examines and prints; exit 5 when anything is degraded or missing.
pub(super) fn examine(global: &Global) -> Result<Outcome, Failure> {
    let asked = runtime()?.block_on(async {
        let mut connection = Connection::open(&socket(global)?).await?;
        Ok::<Reply, Failure>(connection.ask(Request::Doctor).await?)
    });
    let checks = match asked {
        Ok(Reply::Checks(checks)) => checks,
        Ok(Reply::Refused(refusal)) => return Err(refusal.into()),
        Ok(_) => return Err(Failure::failed("unexpected answer from the agent: use the client of the same version")),
        Err(failure) if failure.code == NO_AGENT => alone(global)?,
        Err(failure) => return Err(failure),
    };
    print::reply(&Reply::Checks(checks), global.json, false)
}

fn alone(global: &Global) -> Result<Vec<Check>, Failure> {
    let settings = settings(global)?;
    let mut checks = vec![Check {
        name: "agent".to_owned(),
        state: CheckState::Degraded,
        detail: format!("no agent answers on {}; this process ran the checks itself", settings.socket.display()),
        mend: "start it with `bartizan` or `bartizan --headless`".to_owned(),
    }];
    checks.push(switches::offline(&settings));
    checks.extend(bartizan_agent::probe(&settings));
    Ok(checks)
}
