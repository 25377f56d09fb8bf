//! What a warrant's seal covers of its target: every field, in an order that never changes.

use bartizan_model::{Direction, Isolation, Target, Whose};

/// Gives each field of the target to `put`, which writes its length before it: no two targets give the same bytes.
pub(super) fn target(target: &Target, put: &mut impl FnMut(&[u8])) {
    match target {
        Target::Address { addr, direction } => {
            put(b"address");
            put(addr.to_canonical().to_string().as_bytes());
            put(match direction {
                Direction::In => b"in",
                Direction::Out => b"out",
            });
        }
        Target::Source { addr, packets_per_second } => {
            put(b"source");
            put(addr.to_canonical().to_string().as_bytes());
            put(&packets_per_second.to_le_bytes());
        }
        Target::Destination { addr, whose } => {
            put(b"destination");
            put(addr.to_canonical().to_string().as_bytes());
            put_whose(whose, put);
        }
        Target::ProcessTree { root, exe } => {
            put(b"process-tree");
            put(root.to_string().as_bytes());
            put(exe.as_bytes());
        }
        Target::User { name, uid } => {
            put(b"user");
            put(name.as_bytes());
            put(&uid.to_le_bytes());
        }
        Target::Container { id, name, isolation } => {
            put(b"container");
            put(id.as_bytes());
            put(name.as_bytes());
            put(match isolation {
                Isolation::Network => b"network",
                Isolation::Pause => b"pause",
            });
        }
        Target::Host => put(b"host"),
        Target::File { path, copy } => {
            put(b"file");
            put(path.as_bytes());
            put(copy.as_bytes());
        }
    }
}

fn put_whose(whose: &Whose, put: &mut impl FnMut(&[u8])) {
    match whose {
        Whose::User { uid } => {
            put(b"user");
            put(&uid.to_le_bytes());
        }
        Whose::Cgroup { path } => {
            put(b"cgroup");
            put(path.as_bytes());
        }
        Whose::Container { id } => {
            put(b"container");
            put(id.as_bytes());
        }
    }
}
