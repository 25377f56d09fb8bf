//! A watcher that asks an agent: the protocol's words in, the drill's answers out, over whatever carries them.

use super::{Observer, Verdicts};
use bartizan_model::{Explanation, Incident, IncidentId, Signal, Timestamp};
use bartizan_protocol::{Reply, Request};

/// Newest signals that are asked for; a drill makes about ten.
const NEWEST: u32 = 128;

/// Watches through `ask`: one request to the agent and its reply; errors are one sentence, safe to show.
pub struct Asking<F>(F);

impl<F: FnMut(Request) -> Result<Reply, String>> Asking<F> {
    /// A watcher that asks by `ask`.
    pub fn new(ask: F) -> Self {
        Self(ask)
    }

    fn ask<T>(&mut self, request: Request, wanted: impl FnOnce(Reply) -> Option<T>) -> Result<T, String> {
        let name = request.name();
        match (self.0)(request)? {
            Reply::Refused(refusal) => Err(format!("{}; {}", refusal.message, refusal.mend)),
            reply => wanted(reply).ok_or_else(|| format!("the agent answered \"{name}\" with something else: is it of another version?")),
        }
    }
}

impl<F: FnMut(Request) -> Result<Reply, String>> Observer for Asking<F> {
    fn signals_since(&mut self, since: Timestamp) -> Result<Vec<Signal>, String> {
        let pick = |reply| if let Reply::Signals(signals) = reply { Some(signals) } else { None };
        let mut signals = self.ask(Request::Signals { limit: NEWEST }, pick)?;
        signals.retain(|signal| signal.at >= since);
        Ok(signals)
    }

    fn incidents(&mut self) -> Result<Vec<Incident>, String> {
        self.ask(Request::Incidents { id: None }, |reply| if let Reply::Incidents(incidents) = reply { Some(incidents) } else { None })
    }

    fn explain(&mut self, id: IncidentId) -> Result<Explanation, String> {
        self.ask(Request::Explain { id }, |reply| if let Reply::Explanation(explanation) = reply { Some(*explanation) } else { None })
    }

    fn verdicts(&mut self, id: IncidentId) -> Result<Verdicts, String> {
        let pick = |reply| if let Reply::Approvals(approvals) = reply { Some(approvals) } else { None };
        let mut approvals = self.ask(Request::Approvals { all: true }, pick)?;
        approvals.retain(|approval| approval.incident == id);
        let pick = |reply| if let Reply::Actions(actions) = reply { Some(actions) } else { None };
        let mut actions = self.ask(Request::Actions { active: false }, pick)?;
        actions.retain(|action| action.incident == Some(id));
        Ok(Verdicts { approvals, actions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_protocol::{ErrorCode, Refusal};

    #[test]
    fn a_refusal_is_passed_on_with_its_mend() {
        let refusal = || Refusal { code: ErrorCode::Refused, message: "you may not look".into(), mend: "ask an operator".into() };
        let mut watcher = Asking::new(|_| Ok(Reply::Refused(refusal())));
        assert_eq!(watcher.incidents().unwrap_err(), "you may not look; ask an operator");
    }

    #[test]
    fn a_wrong_answer_is_not_taken_for_none() {
        let mut watcher = Asking::new(|_| Ok(Reply::Done("done".into())));
        assert!(watcher.signals_since(chrono::DateTime::UNIX_EPOCH).unwrap_err().contains("another version"));
    }

    #[test]
    fn both_sides_of_a_verdict_are_asked_for() {
        let mut asked = Vec::new();
        let mut watcher = Asking::new(|request: Request| {
            asked.push(request.name());
            Ok(if matches!(request, Request::Approvals { all: true }) { Reply::Approvals(Vec::new()) } else { Reply::Actions(Vec::new()) })
        });
        assert_eq!(watcher.verdicts(IncidentId(1)), Ok(Verdicts::default()));
        assert_eq!(asked, ["approvals", "actions"]);
    }
}
