//! The second look at the owner's lifeline, before anything is done to a target: independent of the court's.

use super::{ActError, ActionContext};
use bartizan_guard::lifeline::check;
use bartizan_model::{Direction, Lifeline, LifelineReason, ProcessKey, Target};
use bartizan_sys::process_stat::Stat;

impl ActionContext {
    /// The second look at the owner's lifeline for any target, independent of the court's.
    pub(crate) fn may_touch(&self, target: &Target, by_person: bool) -> Result<(), ActError> {
        if let Target::Addresses { addrs } = target {
            // Each on its own, so that the one that is the owner's is named.
            let may_cut = self.may_cut_each(by_person)?;
            return addrs.iter().try_for_each(|addr| may_cut(*addr));
        }
        self.look_again(target, by_person, || target.to_string())?;
        let lifeline = (self.lifeline)();
        complete(&lifeline, by_person)?;
        match (lifeline.holds(target), lifeline.doubt(target)) {
            (Some(why), _) => Err(ActError::Lifeline { what: target.to_string(), why }),
            (None, Some(doubt)) if !by_person => Err(ActError::LifelineUnknown(doubt.escape_debug().to_string())),
            (None, _) => Ok(()),
        }
    }

    /// Why it is not certain that nobody is cut off by acting on this address, if so: then a person must confirm it in time.
    pub(crate) fn doubt(&self, target: &Target) -> Option<String> {
        target.addresses().first()?;
        let lifeline = (self.lifeline)();
        lifeline.doubt(target).map(str::to_owned).or_else(|| (self.again)(target).err())
    }

    /// Over what the owner's sessions arrive, for whoever decides about packets.
    pub(crate) fn ways(&self) -> Vec<String> {
        (self.lifeline)().ways
    }

    /// The second look at the owner's lifeline, on the exact address, independent of the court's.
    pub(crate) fn may_cut(&self, addr: std::net::IpAddr, by_person: bool) -> Result<(), ActError> {
        self.may_cut_each(by_person)?(addr)
    }

    /// The same for the far end of every single connection that would be closed. The lifeline is read once, at the beginning.
    pub(crate) fn may_cut_each(&self, by_person: bool) -> Result<impl Fn(std::net::IpAddr) -> Result<(), ActError> + '_, ActError> {
        let lifeline = (self.lifeline)();
        complete(&lifeline, by_person)?;
        Ok(move |addr: std::net::IpAddr| {
            let what = || addr.to_canonical().to_string();
            self.look_again(&Target::Address { addr, direction: Direction::In }, by_person, what)?;
            match (lifeline.holds_address(addr), lifeline.doubts_address(addr)) {
                (Some(why), _) => Err(ActError::Lifeline { what: what(), why }),
                (None, Some(doubt)) if !by_person => Err(ActError::LifelineUnknown(doubt.escape_debug().to_string())),
                (None, _) => Ok(()),
            }
        })
    }

    /// Asks the kernel about exactly this target, by other means than the lifeline is derived by.
    fn look_again(&self, target: &Target, by_person: bool, what: impl FnOnce() -> String) -> Result<(), ActError> {
        match (self.again)(target) {
            Ok(Some(why)) => Err(ActError::Lifeline { what: what(), why }),
            Ok(None) => Ok(()),
            Err(_) if by_person => Ok(()),
            Err(unknown) => Err(ActError::LifelineUnknown(bartizan_model::sentence(&unknown))),
        }
    }

    /// The same for every single process that would be stopped. The lifeline is read once, at the beginning.
    pub(crate) fn may_stop(&self, by_person: bool) -> Result<impl Fn(ProcessKey) -> Result<(), String>, ActError> {
        let lifeline = (self.lifeline)();
        complete(&lifeline, by_person)?;
        let (me, again) = (std::process::id(), check::Processes::new());
        Ok(move |key: ProcessKey| match lifeline.holds_process(key) {
            Some(why) => Err(why.noun().to_owned()),
            None if key.pid == me => Err(LifelineReason::Agent.noun().to_owned()),
            // A remote command has no terminal: all that its session runs is the owner's one command.
            None if is_part_of_a_remote_command(&lifeline, key) => {
                Err("part of a command without a terminal on the owner's own path, as SSH runs them".to_owned())
            }
            None => again.look(key).map_or(Ok(()), |why| Err(why.noun().to_owned())),
        })
    }
}

/// Whether it belongs to a session without a terminal whose leader is held.
fn is_part_of_a_remote_command(lifeline: &Lifeline, key: ProcessKey) -> bool {
    let of = |pid: u32| Stat::read(pid).filter(|stat| !stat.is_dead());
    let Some(stat) = of(key.pid).filter(|stat| stat.key() == key && stat.terminal == 0) else { return false };
    let leader = of(stat.session).filter(|leader| leader.terminal == 0 && leader.pid > 1);
    leader.is_some_and(|leader| lifeline.holds_process(leader.key()) == Some(LifelineReason::LoginPath))
}

pub(super) fn complete(lifeline: &Lifeline, by_person: bool) -> Result<(), ActError> {
    match lifeline.unknown.first() {
        Some(unknown) if !by_person => Err(ActError::LifelineUnknown(bartizan_model::sentence(unknown))),
        _ => Ok(()),
    }
}
