//! Questions about many addresses: asked again when they grow, and narrowed to whom they may be about when they are answered.

use super::Decider;
use bartizan_model::{ActionPlan, Approval, ApprovalId, ApprovalState, IncidentId, Timestamp};
use bartizan_protocol::{ErrorCode, Refusal};

impl Decider {
    /// The questions that a larger one about the same incident takes the place of: nothing that is asked grows silently.
    pub(super) fn supersede(&mut self, about: IncidentId, plan: &ActionPlan, by: ApprovalId, now: Timestamp) {
        let all = plan.target().addresses();
        let is_part = |asked: &Approval| {
            let addrs = asked.action.target().addresses();
            all.len() > 1 && asked.incident == about && !addrs.is_empty() && addrs.iter().all(|addr| all.contains(addr))
        };
        let smaller: Vec<Approval> =
            self.questions.pending().filter(|asked| is_part(asked) && !self.under_way.answers(asked.id)).cloned().collect();
        for approval in smaller {
            let why = format!("asked again as {by}, about {} addresses", all.len());
            self.response.audit(now, "the court", "approval.lapsed", &approval.id.to_string(), &why);
            self.keep(Approval { state: ApprovalState::Expired, answered_by: Some(format!("nobody: {why}")), ..approval });
        }
    }

    /// What of a question may be done now, and the reason with who is left out of it; each of those is a line of the audit log.
    pub(super) fn without_held(
        &self,
        plan: ActionPlan,
        id: ApprovalId,
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<(ActionPlan, String), Refusal> {
        if plan.target().addresses().len() < 2 {
            return Ok((plan, reason.to_owned()));
        }
        let (lifeline, active) = (self.response.owner.lifeline(), self.response.active_actions());
        let (plan, left_out) = self.court.without_held(plan, &lifeline, &active).map_err(|refusal| {
            let message = format!("nothing was done: of {id} nobody is left: {refusal}");
            Refusal { code: ErrorCode::Refused, message, mend: String::new() }
        })?;
        for (addr, refusal) in &left_out {
            self.response.audit(now, "the court", "action.refused", &id.to_string(), &format!("{addr} is left out for {actor}: {refusal}"));
        }
        let more = if left_out.is_empty() { String::new() } else { format!("; {} left out, see the audit log", left_out.len()) };
        Ok((plan, format!("{reason}{more}")))
    }
}
