//! The indicator lists of this host: read from disk, told of by name, age and end.

use bartizan_config::{IndicatorFolders, Policy, Settings};
use bartizan_detect::indicators::{Indicators, List};
use bartizan_model::{Check, CheckState, Lifeline, LifelineReason, Timestamp};

/// What this is called in the self-test and among degraded parts.
pub(crate) const INDICATORS: &str = "indicator lists";
/// Lists named in one line.
const NAMED: usize = 4;

/// Reads all lists; what cannot be used is named with its list, and the rest goes on. `spared` addresses are never matched.
pub fn load(folders: &IndicatorFolders, policy: &Policy, spared: &Lifeline, now: Timestamp) -> Indicators {
    let max_age = chrono::TimeDelta::from_std(policy.indicators.max_age).unwrap_or(chrono::TimeDelta::days(30));
    let own = spared.addresses.iter().filter(|(_, why)| is_everybodys(*why)).map(|(addr, _)| *addr);
    let mut all = Indicators::new(own.chain(policy.protected.addresses.iter().copied()));
    for file in folders.files() {
        let name = file.path.display().to_string();
        match file.content {
            Ok(content) => {
                let modified = file.modified.map_or(now, Timestamp::from);
                all.add(name, &content, (modified, now), max_age);
            }
            Err(problem) => all.refuse(name, &problem, now),
        }
    }
    all
}

/// What every program of this host may talk to. Not where somebody lately logged in from: that may be an intruder.
fn is_everybodys(why: LifelineReason) -> bool {
    match why {
        LifelineReason::Gateway | LifelineReason::Resolver | LifelineReason::TimeServer | LifelineReason::OwnAddress => true,
        LifelineReason::SshSession
        | LifelineReason::RecentLogin
        | LifelineReason::NotAStranger
        | LifelineReason::Init
        | LifelineReason::LoginPath
        | LifelineReason::Agent
        | LifelineReason::OwnAccount
        | LifelineReason::LastAdministrator
        | LifelineReason::OwnContainer
        | LifelineReason::Carrier => false,
    }
}

/// What is in force, in a sentence.
pub(crate) fn summary(all: &Indicators, now: Timestamp) -> String {
    let in_force = all.lists().iter().filter(|list| list.is_in_force(now)).count();
    let trouble = trouble(all, now).map(|trouble| format!("; {trouble}")).unwrap_or_default();
    format!("{} indicators of {in_force} lists{trouble}", all.len())
}

/// Lists that are not matched although they are there, or not wholly.
pub(crate) fn trouble(all: &Indicators, now: Timestamp) -> Option<String> {
    let mut said: Vec<String> = all.lists().iter().filter_map(|list| of_list(list, now)).collect();
    let more = said.len().saturating_sub(NAMED);
    said.truncate(NAMED);
    said.extend((more > 0).then(|| format!("and {more} more")));
    (!said.is_empty()).then(|| said.join("; "))
}

fn of_list(list: &List, now: Timestamp) -> Option<String> {
    let file = bartizan_model::sentence(list.name());
    match (&list.problem, list.is_in_force(now)) {
        (Some(problem), _) => Some(format!("{file} is refused: {problem}")),
        (None, false) => Some(format!("{file} expired at {} UTC and is not matched", list.expires.format("%Y-%m-%d %H:%M"))),
        (None, true) if list.left_out > 0 => Some(format!("{} indicators of {file} are beyond the bounds and not matched", list.left_out)),
        (None, true) => None,
    }
}

/// The same as one line of the self-test.
pub(crate) fn check(settings: &Settings, now: Timestamp) -> Check {
    let all = load(&IndicatorFolders::of(settings), &settings.policy, &Lifeline::default(), now);
    let (state, mend) = match trouble(&all, now) {
        None => (CheckState::Works, ""),
        Some(_) => (CheckState::Degraded, "`bartizan indicators` shows each list; renew or remove the file, then run `bartizan reload`"),
    };
    Check { name: INDICATORS.to_owned(), state, detail: summary(&all, now), mend: mend.to_owned() }
}
