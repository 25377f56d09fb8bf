//! Sockets by their inode numbers: those of our own network namespace by sock_diag, of others by their tables in /proc.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bartizan_sys::sock_diag::Socket;

/// Tables of a network namespace (proc(5), /proc/PID/net).
const TABLES: [&str; 4] = ["tcp", "tcp6", "udp", "udp6"];
/// The most foreign network namespaces that one capture looks into.
const MAX_NAMESPACES: usize = 64;

/// What is known of sockets during one capture.
#[derive(Debug)]
pub(super) struct KnownSockets {
    ours: HashMap<u64, Socket>,
    our_namespace: PathBuf,
    /// By the link of the namespace, then by inode number: the kernel's own line.
    foreign: HashMap<PathBuf, HashMap<u64, String>>,
}

impl KnownSockets {
    pub(super) fn new(sockets: Vec<Socket>) -> Self {
        Self {
            ours: sockets.into_iter().map(|socket| (socket.inode, socket)).collect(),
            our_namespace: std::fs::read_link("/proc/thread-self/ns/net").unwrap_or_default(),
            foreign: HashMap::new(),
        }
    }

    /// Reads the tables of a foreign namespace, once, if one of these sockets may be in them.
    pub(super) fn learn(&mut self, namespace: &Path, inodes: &[u64], table: impl Fn(&str) -> Vec<u8>) {
        let elsewhere = !inodes.is_empty() && namespace != self.our_namespace && !self.foreign.contains_key(namespace);
        if !elsewhere || self.foreign.len() >= MAX_NAMESPACES {
            return;
        }
        let mut lines = HashMap::new();
        for name in TABLES {
            for line in String::from_utf8_lossy(&table(name)).lines().skip(1) {
                // `sl local remote state queues timer retransmits uid timeout inode ...`
                if let Some(inode) = line.split_ascii_whitespace().nth(9).and_then(|inode| inode.parse().ok()) {
                    lines.insert(inode, format!("{name} {}", line.trim().escape_default()));
                }
            }
        }
        self.foreign.insert(namespace.to_owned(), lines);
    }

    /// One line: what the kernel says of a socket, or that it does not.
    pub(super) fn line(&self, namespace: &Path, inode: u64) -> String {
        if let Some(socket) = self.ours.get(&inode) {
            return format!("{inode} {} {:?} uid {}\n", ends(socket), socket.phase, socket.uid);
        }
        match self.foreign.get(namespace).and_then(|lines| lines.get(&inode)) {
            Some(line) => format!("{inode} {line}\n"),
            None => format!("{inode} neither TCP nor UDP, or not in a network namespace that can be asked\n"),
        }
    }
}

fn ends(socket: &Socket) -> String {
    let flow = &socket.flow;
    let near = format!("{:?} {} port {}", flow.proto, flow.src, flow.sport);
    match (flow.dst, flow.dport) {
        (Some(far), Some(port)) => format!("{near} with {far} port {port}"),
        _ => near,
    }
}
