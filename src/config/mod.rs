//! Settings: defaults, then file, then environment, then flags; each value knows where it came from.

mod key;
pub mod keymap;
pub mod policy;
pub mod theme;
mod view;

pub use key::{Key, KeyError, KeyName};
pub use keymap::{Command, Keymap};
pub use policy::Policy;
pub use theme::{Glyphs, Theme};
pub use view::{View, ViewError};
