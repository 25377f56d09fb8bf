//! What checks may ask of a host: files, and what only a program or the kernel can tell. The command line answers for the real one.

use std::net::IpAddr;

use bartizan_model::{HostText, Protocol, Timestamp};

/// What reading a file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Its content, up to the bound of the view.
    Bytes(Vec<u8>),
    /// There is no such file.
    Missing,
    /// It is there, and cannot be read; why.
    Refused(String),
}

/// What stat(2) tells of a name; links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Permission bits, set-id bits and the sticky bit (`07777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// It is a directory.
    pub is_directory: bool,
    /// It is a device: a unit that is masked is a link to `/dev/null`.
    pub is_device: bool,
}

/// A socket that waits for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Transport.
    pub protocol: Protocol,
    /// Local address; unspecified means all.
    pub address: IpAddr,
    /// Local port.
    pub port: u16,
    /// The program that holds it, if that can be told.
    pub program: Option<HostText>,
}

/// One file with a set-user-id or set-group-id bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetIdFile {
    /// Its path.
    pub path: HostText,
    /// What it is.
    pub facts: Facts,
    /// The device on which it lies, as `st_dev` of stat(2) has it.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

/// Files with a set-user-id or set-group-id bit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetIds {
    /// Each of them.
    pub files: Vec<SetIdFile>,
    /// What could not be looked at, and why.
    pub unread: Vec<(HostText, String)>,
    /// What is left out on purpose: why, and how often.
    pub aside: Vec<(HostText, String, u64)>,
}

/// A host that can be looked at. Nothing here changes it.
pub trait HostView {
    /// The content of a file.
    fn read(&self, path: &[u8]) -> Reading;
    /// Names in a directory, sorted, bounded; none when it is not there.
    fn list(&self, directory: &[u8]) -> Vec<Vec<u8>>;
    /// What a name is.
    fn facts(&self, path: &[u8]) -> Option<Facts>;
    /// Where a name leads, if it is a symbolic link itself.
    fn link(&self, path: &[u8]) -> Option<Vec<u8>>;
    /// What the SSH server does, outside of Match blocks: lower-case keyword and value (`sshd -T`). `None`: there is no SSH server.
    ///
    /// # Errors
    /// Why the server does not tell.
    fn ssh_settings(&self) -> Result<Option<Vec<(String, String)>>, String>;
    /// Sockets that wait for others.
    ///
    /// # Errors
    /// Why the kernel does not tell.
    fn listeners(&self) -> Result<Vec<Listener>, String>;
    /// The packet filter's rules as `nft list ruleset` prints them. `None`: there is no such program.
    ///
    /// # Errors
    /// Why it does not tell.
    fn packet_filter(&self) -> Result<Option<String>, String>;
    /// Files with set-id bits on all local file systems where they count.
    fn set_ids(&self) -> SetIds;
    /// The package that owns a path.
    ///
    /// # Errors
    /// When there is no package database.
    fn package_of(&self, path: &HostText) -> Result<Option<HostText>, String>;
    /// The time of the scan.
    fn now(&self) -> Timestamp;
}
