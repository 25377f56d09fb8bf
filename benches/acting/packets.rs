//! What our table costs each packet: UDP there and back without it, with it, with ten thousand blocks in it, and in
//! containment, in turn.

use std::fs::File;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bartizan::host::nft::{Element, Member, Nft, Table as Shape};

use crate::block::elements;
use crate::figures::{Table, median, ratio};
use crate::namespace::{alone, ip, within};

const TRIPS: u32 = 20_000;
const ROUNDS: usize = 15;

/// Two sockets that talk to each other, and under what name that is told.
type Pair = (UdpSocket, UdpSocket);

/// Nanoseconds for a packet there and one back.
fn ping_pong((near, far): &Pair) -> f64 {
    let mut buffer = [0; 64];
    let began = Instant::now();
    for _ in 0..TRIPS {
        near.send(b"ping").unwrap();
        far.recv(&mut buffer).unwrap();
        far.send(b"pong").unwrap();
        near.recv(&mut buffer).unwrap();
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(TRIPS)
}

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

fn joined(near: UdpSocket, far: UdpSocket) -> Pair {
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    (near, far)
}

/// Over loopback, and to a neighbour in a namespace of its own.
fn pairs() -> [(&'static str, Pair); 2] {
    let neighbour = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    let other = neighbour.join().unwrap();
    use std::os::fd::AsRawFd;
    let place = format!("/proc/{}/fd/{}", std::process::id(), other.as_raw_fd());
    ip(&format!("link add near type veth peer name far netns {place}"));
    ip("address add 198.51.100.1/24 dev near");
    ip("link set near up");
    let far = within(&other, || {
        ip("address add 198.51.100.7/24 dev far");
        ip("link set far up");
        std::thread::sleep(Duration::from_millis(300));
        socket("198.51.100.7")
    });
    [("loopback", joined(socket("127.0.0.1"), socket("127.0.0.1"))), ("a neighbour", joined(socket("198.51.100.1"), far))]
}

fn contained() -> Vec<Element> {
    let keep = Member::Keep("198.51.100.7".parse().unwrap());
    let members = [Member::ContainOut(false), Member::ContainIn(17, 100_000), Member::ContainSsh(22), keep];
    members.into_iter().map(|member| Element { member, lasts: Duration::from_secs(600) }).collect()
}

pub fn measure(table: &mut Table) {
    alone(|| {
        let nft = Nft::open().unwrap();
        for (name, pair) in pairs() {
            let (mut bare, mut with) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
            for _ in 0..ROUNDS {
                bare.push(ping_pong(&pair));
                for (times, come) in with.iter_mut().zip([Vec::new(), elements(10_000), contained()]) {
                    nft.change(Shape::Make, &[], &come, &|_| Ok(())).unwrap();
                    times.push(ping_pong(&pair));
                    nft.delete_table().unwrap();
                }
            }
            table.row(&format!("{name}, UDP there and back, without us"), format!("{:.0} ns", median(bare.clone())), "");
            for (what, times) in ["our table, empty", "with 10000 blocks", "in containment, peer kept"].into_iter().zip(&with) {
                let more = median(times.iter().zip(&bare).map(|(with, without)| with - without).collect()) / 2.0;
                table.row(&format!("{name}: {what}, with / without"), format!("{}, {more:+.0} ns a packet", ratio(times, &bare)), "");
            }
        }
    });
}
