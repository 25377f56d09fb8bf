//! Changes for which leave was given and of which it is not known yet what came: nobody is given leave for the same twice.

use bartizan_model::{Action, ActionPlan, ApprovalId};

/// The changes under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    next: u64,
    all: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    number: u64,
    plan: ActionPlan,
    /// The question to which it is the answer.
    question: Option<ApprovalId>,
}

impl UnderWay {
    /// Changes under way at most: each has a thread that waits for it.
    pub(super) const MAX: usize = 64;

    /// One begins; its number, unless there are too many.
    pub(super) fn begin(&mut self, plan: &ActionPlan, question: Option<ApprovalId>) -> Option<u64> {
        let room = self.all.len() < Self::MAX;
        room.then(|| {
            self.next += 1;
            self.all.push(Change { number: self.next, plan: plan.clone(), question });
            self.next
        })
    }

    /// One is over, whatever came of it; the question to which it was the answer.
    pub(super) fn end(&mut self, number: u64) -> Option<ApprovalId> {
        let at = self.all.iter().position(|change| change.number == number)?;
        self.all.swap_remove(at).question
    }

    /// Whether nothing is being done.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the same is being done.
    pub(super) fn has(&self, plan: &ActionPlan) -> bool {
        self.all.iter().any(|change| change.plan.kind() == plan.kind() && change.plan.target().is_same(plan.target()))
    }

    /// Whether one of them is the answer to this question.
    pub(super) fn answers(&self, question: ApprovalId) -> bool {
        self.all.iter().any(|change| change.question == Some(question))
    }

    /// How many are not among the active actions yet.
    pub(super) fn unborn(&self, active: &[Action]) -> usize {
        let born = |plan: &ActionPlan| active.iter().any(|action| action.kind == plan.kind() && action.target.is_same(plan.target()));
        self.all.iter().filter(|change| !born(&change.plan)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use bartizan_model::{ActionKind, Direction, Target};

    fn block(addr: &str) -> ActionPlan {
        let target = Target::Address { addr: addr.parse().unwrap(), direction: Direction::In };
        ActionPlan::new(ActionKind::BlockAddress, target, Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn the_same_is_under_way_once_in_any_spelling_until_it_is_over() {
        let mut under_way = UnderWay::default();
        let number = under_way.begin(&block("203.0.113.9"), Some(ApprovalId(3))).unwrap();
        assert!(under_way.has(&block("::ffff:203.0.113.9")) && !under_way.has(&block("203.0.113.10")));
        assert!(under_way.answers(ApprovalId(3)));
        assert_eq!((under_way.unborn(&[]), under_way.end(number)), (1, Some(ApprovalId(3))));
        assert_eq!((under_way.unborn(&[]), under_way.end(number)), (0, None));
        let begun = (0..UnderWay::MAX + 3).filter(|n| under_way.begin(&block(&format!("203.0.113.{n}")), None).is_some());
        assert_eq!(begun.count(), UnderWay::MAX);
    }
}
