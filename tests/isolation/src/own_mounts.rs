//! For tests: an /etc and a /run of one's own, so that no test touches the machine's accounts or its runtimes' sockets.

use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};

use crate::own_netns::in_own_network;

/// Runs `body` on a thread with its own network, its own copy of /etc and an empty /run; gives it a directory to play in.
/// Needs root; says so and skips without.
pub fn in_own_etc(body: impl FnOnce(&Path) + Send) {
    in_own_network(|| {
        let dir = tempfile::Builder::new().prefix("bartizan-etc-").tempdir().unwrap();
        // Programs that run under other accounts have to come through.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        let (etc, run) = (dir.path().join("etc"), dir.path().join("run"));
        assert!(Command::new("cp").args(["-a", "/etc"]).arg(&etc).status().unwrap().success());
        std::fs::create_dir_all(run.join("lock")).unwrap();
        for (own, place) in [(&etc, "/etc"), (&run, "/run")] {
            mount(Some(own), place, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        }
        body(dir.path());
        // Whoever still waits in here waits for nothing any more.
        for place in ["/etc", "/run"] {
            let _ = nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH);
        }
    });
}
