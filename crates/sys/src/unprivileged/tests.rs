//! The real child, started from this very test program: what memory it cannot get, and whose fault its end is.

use std::os::fd::AsFd;
use std::time::Duration;

use super::{Child, Ended, give_up, own_end};
use crate::packets;

/// More than [`super::MEMORY`], in bytes.
const TOO_MUCH: usize = 192 << 20;

/// Not a test: what the child runs. It does what the first packet says and answers when it lives on.
#[test]
fn stands_in_for_the_program() {
    let Ok(socket) = own_end() else { return };
    let mut packet = vec![0; packets::LONGEST];
    give_up(c"bartizan-worker").unwrap();
    let (length, _) = packets::receive_along(socket.as_fd(), &mut packet).unwrap();
    let map = |protection, flags| {
        // SAFETY: a fresh mapping wherever the kernel wants it; nothing of ours is touched.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), TOO_MUCH, protection, libc::MAP_ANONYMOUS | flags, -1, 0) };
        at != libc::MAP_FAILED
    };
    let got = match &packet[..length] {
        b"private" => map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE),
        b"shared" => map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED),
        b"stack" => map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_GROWSDOWN),
        b"addresses" => (0..4).all(|_| map(libc::PROT_READ, libc::MAP_PRIVATE)),
        b"close" => {
            drop(socket);
            loop {
                std::hint::spin_loop();
            }
        }
        _ => false,
    };
    packets::send(socket.as_fd(), if got { b"got it" } else { b"refused" }, None, true).unwrap();
}

fn child() -> (Child, std::os::fd::OwnedFd) {
    let arguments = ["unprivileged::tests::stands_in_for_the_program", "--exact", "--nocapture", "--test-threads=1"];
    Child::start("/proc/self/exe".as_ref(), &arguments).unwrap()
}

fn after(word: &str) -> Result<String, Ended> {
    let (child, socket) = child();
    packets::send(socket.as_fd(), word.as_bytes(), None, true).unwrap();
    let mut answer = vec![0; packets::LONGEST];
    match packets::receive(socket.as_fd(), &mut answer, Duration::from_secs(10)) {
        Ok(0) | Err(_) => Err(child.gone()),
        Ok(length) => Ok(String::from_utf8_lossy(&answer[..length]).into_owned()),
    }
}

#[test]
fn no_kind_of_memory_is_without_a_bound() {
    assert_eq!(after("private").as_deref(), Ok("refused"));
    assert_eq!(after("addresses").as_deref(), Ok("refused"));
    for kind in ["shared", "stack"] {
        let ended = after(kind).unwrap_err();
        assert!(ended.earned && ended.how.contains("SIGSYS"), "{kind}: {ended:?}");
    }
}

#[test]
fn an_end_that_others_made_is_told_from_one_of_its_own() {
    for (signal, earned) in [(libc::SIGKILL, false), (libc::SIGTERM, false), (libc::SIGABRT, true)] {
        let (child, _socket) = child();
        // SAFETY: our own unreaped child.
        unsafe { libc::kill(i32::try_from(child.pid()).unwrap(), signal) };
        assert_eq!(child.gone().earned, earned, "{signal}");
    }
    assert_eq!(after("close").unwrap_err().how, "it closed its socket and went on");
}
