//! What is normal on this host: habits of programs and accounts, when each was learned, why and by whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HabitId, HostText, ServiceRole, Timestamp};

/// Of whom a habit is: the same program below another service, in another unit or as another user is somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Profile {
    /// Path of the executable; for logins the name of the service that lets people in.
    pub exe: HostText,
    /// The nearest service that strangers can talk to, else the outermost one of another kind; `None` below init alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<ServiceRole>,
    /// systemd unit, with `*` for what differs from one start to the next: `session-*.scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The user that it runs as, by number where it has no name; for logins the account.
    pub user: HostText,
    /// The container it runs in, by name, else by image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<HostText>,
}

impl fmt::Display for Profile {
    /// In a few words, safe to show: `/usr/sbin/php-fpm8.2 of php8.2-fpm.service as www-data`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.exe)?;
        match (&self.unit, self.below) {
            (Some(unit), _) => write!(f, " of {}", super::sentence(unit))?,
            (None, Some(role)) => write!(f, " below a {}", role.noun())?,
            (None, None) => {}
        }
        if let Some(container) = &self.container {
            write!(f, " in container {container}")?;
        }
        write!(f, " as {}", self.user)
    }
}

/// Kinds of habit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HabitKind {
    /// That it runs; the value is its content: a package, or a SHA-256 where none owns it.
    Program,
    /// It starts this executable.
    Child,
    /// It listens here.
    Listener,
    /// It calls this name or network and port.
    Destination,
    /// It changes watched files in this directory.
    Place,
    /// The account logs in from this network, or with this key.
    Login,
}

impl HabitKind {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 6] = [Self::Program, Self::Child, Self::Listener, Self::Destination, Self::Place, Self::Login];

    /// As in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Child => "child",
            Self::Listener => "listener",
            Self::Destination => "destination",
            Self::Place => "place",
            Self::Login => "login",
        }
    }

    /// What it says of somebody: `runs`, `calls` ...
    pub fn verb(self) -> &'static str {
        match self {
            Self::Program => "runs",
            Self::Child => "starts",
            Self::Listener => "listens on",
            Self::Destination => "calls",
            Self::Place => "changes files in",
            Self::Login => "logs in",
        }
    }
}

/// Whether a habit counts as normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HabitState {
    /// It is normal.
    Learned,
    /// It was set aside: it waits for a person, and counts for nothing until then.
    Waiting,
    /// A person said that it is not normal: it is reported whenever it happens.
    Rejected,
}

impl HabitState {
    /// As in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Learned => "learned",
            Self::Waiting => "waiting",
            Self::Rejected => "rejected",
        }
    }
}

/// Why a habit is in the state it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HabitReason {
    /// Learned: seen while learning, and nothing spoke against it.
    Observed,
    /// Learned: a package manager at work explains it.
    Installed,
    /// Learned: seen in the archive.
    Archive,
    /// Learned: a baseline of another host has it.
    Imported,
    /// Learned or rejected by a person.
    Reviewed,
    /// Set aside: a detector or a rule spoke about it.
    Signal,
    /// Set aside: what does it descends from something that a detector spoke about.
    Suspect,
    /// Set aside: something below a service that strangers can talk to does it.
    Service,
    /// Set aside: events were being lost.
    Incomplete,
    /// Set aside: it calls again and again at even intervals, as a program that waits for commands does.
    Regular,
    /// Set aside: logins from there failed shortly before.
    Failures,
    /// Set aside: a password alone let somebody in from there.
    Password,
    /// Set aside: others than root may change the program.
    Writable,
    /// Set aside: learning is over.
    Late,
}

impl HabitReason {
    /// In a sentence, after "because".
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Observed => "it was seen while learning",
            Self::Installed => "a package manager at work explains it",
            Self::Archive => "it is in the archive",
            Self::Imported => "it was imported",
            Self::Reviewed => "a person reviewed it",
            Self::Signal => "a detector reported it",
            Self::Suspect => "its process descends from something that was reported",
            Self::Service => "it comes from below a service that strangers can talk to",
            Self::Incomplete => "events were lost at that time",
            Self::Regular => "it calls at even intervals, as remote control does",
            Self::Failures => "logins from there had failed before",
            Self::Password => "a password alone was enough",
            Self::Writable => "others than root can change the program",
            Self::Late => "it was first seen after learning had ended",
        }
    }

    /// How soon a person should look, from 0: worst first.
    pub fn rank(self) -> u8 {
        match self {
            Self::Signal => 0,
            Self::Suspect => 1,
            Self::Regular => 2,
            Self::Failures => 3,
            Self::Service => 4,
            Self::Writable => 5,
            Self::Password => 6,
            Self::Incomplete => 7,
            Self::Late => 8,
            Self::Observed | Self::Installed | Self::Archive | Self::Imported | Self::Reviewed => 9,
        }
    }
}

/// One thing that somebody does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habit {
    /// Its name.
    pub id: HabitId,
    /// Whose it is.
    pub profile: Profile,
    /// What kind.
    pub kind: HabitKind,
    /// What: an executable, `tcp deb.debian.org:443`, a directory ...
    pub value: HostText,
    /// Whether it counts.
    pub state: HabitState,
    /// Why.
    pub reason: HabitReason,
    /// Who decided: `bartizan`, or a person.
    pub by: String,
    /// First seen.
    pub first: Timestamp,
    /// Last seen.
    pub last: Timestamp,
    /// How often it was seen.
    pub count: u64,
    /// On how many days it was seen.
    pub days: u32,
}

/// How far a profile can be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maturity {
    /// Seen on one day, or a few times.
    New,
    /// Its time of learning is not over.
    Learning,
    /// What it does not do is known.
    Known,
    /// Not seen for a month.
    Stale,
}

impl Maturity {
    /// As in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Learning => "learning",
            Self::Known => "known",
            Self::Stale => "stale",
        }
    }
}

/// One version of the baseline: what it was like when a day ended, or when a person decided something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineVersion {
    /// 1, 2, 3 ...
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it: `bartizan`, or a person.
    pub by: String,
    /// What was done, for a person.
    pub what: String,
}

/// How far learning has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineStatus {
    /// When learning began; `None` when it is switched off.
    pub began: Option<Timestamp>,
    /// When it ends, or ended.
    pub ends: Option<Timestamp>,
    /// The newest version.
    pub version: Option<BaselineVersion>,
    /// Profiles of each maturity.
    pub profiles: Vec<(Maturity, u64)>,
    /// Habits that are learned.
    pub learned: u64,
    /// Habits that wait for a person.
    pub waiting: u64,
    /// Habits that a person rejected.
    pub rejected: u64,
    /// Profiles that do too many things of a kind for a new one to stand out, with the kind.
    pub crowded: Vec<(Profile, HabitKind)>,
    /// Profiles that were forgotten because there was no room.
    pub evicted: u64,
}

/// What became of one habit between two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HabitChange {
    /// Which, as it is now.
    pub habit: Habit,
    /// Its state in the older version; `None` when it was not there.
    pub before: Option<HabitState>,
    /// Its state in the newer version; `None` when it was not there any more.
    pub after: Option<HabitState>,
}

/// What a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineReview {
    /// How far learning has come.
    pub status: BaselineStatus,
    /// Since when: the last review, or the beginning.
    pub since: Option<Timestamp>,
    /// What waits for a person, worst first.
    pub waiting: Vec<Habit>,
    /// Waiting ones beyond those.
    pub more: u64,
    /// What was learned since then, newest first.
    pub learned: Vec<Habit>,
    /// Learned ones beyond those.
    pub more_learned: u64,
}
