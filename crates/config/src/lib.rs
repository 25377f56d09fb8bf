//! Settings: defaults, then file, then environment, then flags; each value knows where it came from.

#![forbid(unsafe_code)]

pub mod agent;
mod alerts;
mod baseline_policy;
pub mod contrast;
mod folder_files;
mod hold_policy;
mod indicator_files;
mod key;
pub mod keymap;
mod layers;
mod login_policy;
mod logs;
mod mail;
pub mod policy;
mod policy_check;
mod rule_files;
mod rule_policy;
mod secret;
pub mod signs;
mod sink_types;
mod switches;
pub mod theme;
mod values;
mod view;
mod web_policy;

pub use agent::{Access, Flags, LaneSizes, LogLevel, Settings};
pub use alerts::{AlertSettings, MAX_SINKS, SinkSetting};
pub use baseline_policy::BaselinePolicy;
pub use folder_files::FolderFile;
pub use hold_policy::{HoldPolicy, Networks};
pub use indicator_files::{IndicatorFolders, IndicatorPolicy};
pub use key::{Key, KeyError, KeyName};
pub use keymap::{Command, Keymap};
pub use layers::{ConfigError, Origin};
pub use login_policy::{LoginPolicy, RootLogin};
pub use logs::LogSetting;
pub use mail::{MailSetting, MailTls};
pub use policy::Policy;
pub use rule_files::{RuleFile, RuleFolders, rule_files, yara_files};
pub use rule_policy::RulePolicy;
pub use secret::Secret;
pub use sink_types::{SinkType, WebForm};
pub use switches::{DetectorPolicy, NameList};
pub use theme::{Glyphs, Theme};
pub use view::{View, ViewError};
pub use web_policy::WebPolicy;
