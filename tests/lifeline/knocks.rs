//! An open connection protects nobody; a login does, of every kind.

use std::net::TcpStream;

use crate::host::{Host, Said};
use crate::support::lan::{HOST, OPERATOR, STRANGER};
use crate::support::ssh::Session;

#[test]
fn whoever_only_connects_to_the_ssh_server_can_be_blocked_and_whoever_logged_in_cannot() {
    let Some(host) = Host::new(&[], "MaxStartups 200\n") else { return };
    // As many as a stranger likes, over both families, and one that got as far as one does without a key.
    let (to, six) = ((HOST[0], 22), (HOST[1], 22));
    let idle: Vec<TcpStream> =
        host.lan.stranger.within(|| (0..12).flat_map(|_| [TcpStream::connect(to).unwrap(), TcpStream::connect(six).unwrap()]).collect());
    let ask = ["-o", "BatchMode=no", "-o", "PreferredAuthentications=keyboard-interactive,password", "-o", "NumberOfPasswordPrompts=3"];
    let mut knocking = host.server.client_with(&host.lan.stranger, STRANGER[0], HOST[0], &ask, "true");
    let knocking = crate::host::Program(knocking.stdin(std::process::Stdio::null()).spawn().unwrap());
    let session = Session::open(&host.server, &host.lan.operator, OPERATOR[0], HOST[0]);
    assert_eq!(host.to_block(STRANGER[0]), Said::Done, "knocks over IPv4");
    assert_eq!(host.to_block(STRANGER[1]), Said::Done, "knocks over IPv6");
    assert_eq!(host.to_block("2001:db8:3::77"), Said::Done, "beside one who knocks");
    assert_eq!(host.says(&["limit", STRANGER[0], "--packets", "10"]), Said::Done);
    // A session that began a moment ago.
    assert_eq!(host.to_block(OPERATOR[0]), Said::Refused);
    drop(session);
    let forward = host.server.client_with(&host.lan.operator, OPERATOR[1], HOST[1], &["-N"], "").spawn().unwrap();
    let forward = crate::host::Program(forward);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(host.to_block("2001:db8:2::99"), Said::Refused, "the /64 of a login without a command");
    drop((idle, knocking, forward));
}
