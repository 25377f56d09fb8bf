//! What our table costs each packet: UDP and TCP there and back without it and with each kind of action in it, in turn.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use bartizan_enforce::nft::{Element, Member, Nft, Pieces, Table as Shape};
use bartizan_model::Direction;

use crate::block::elements;
use crate::figures::{Table, median, ratio};
use crate::namespace::{alone, ip, within};

const TRIPS: u32 = 1_000;
const ROUNDS: usize = 60;
/// The host's own address, its neighbour's, and one that is blocked, limited or denied.
const OWN: &str = "198.51.100.1";
const NEIGHBOUR: &str = "198.51.100.7";
const STRANGER: &str = "203.0.113.66";

/// Two ends that talk to each other.
enum Pair {
    Udp(UdpSocket, UdpSocket),
    Tcp(TcpStream, TcpStream),
}

impl Pair {
    /// Nanoseconds for a packet there and one back.
    fn trip(&mut self) -> f64 {
        let mut buffer = [0; 4];
        let began = Instant::now();
        for _ in 0..TRIPS {
            match self {
                Self::Udp(near, far) => {
                    near.send(b"ping").unwrap();
                    far.recv(&mut buffer).unwrap();
                    far.send(b"pong").unwrap();
                    near.recv(&mut buffer).unwrap();
                }
                Self::Tcp(near, far) => {
                    near.write_all(b"ping").unwrap();
                    far.read_exact(&mut buffer).unwrap();
                    far.write_all(b"pong").unwrap();
                    near.read_exact(&mut buffer).unwrap();
                }
            }
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(TRIPS)
    }
}

fn udp(near: &str, far: impl FnOnce() -> UdpSocket) -> Pair {
    let (near, far) = (UdpSocket::bind((near, 0)).unwrap(), far());
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    }
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    Pair::Udp(near, far)
}

fn tcp(listener: &TcpListener) -> Pair {
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    }
    Pair::Tcp(near, far)
}

/// Over loopback, and to a neighbour in a namespace of its own.
fn pairs() -> [(&'static str, Pair); 4] {
    use std::os::fd::AsRawFd;
    let neighbour = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    let other = neighbour.join().unwrap();
    let place = format!("/proc/{}/fd/{}", std::process::id(), other.as_raw_fd());
    ip(&format!("link add near type veth peer name far netns {place}"));
    ip(&format!("address add {OWN}/24 dev near"));
    ip("link set near up");
    let (far, listener) = within(&other, || {
        ip(&format!("address add {NEIGHBOUR}/24 dev far"));
        ip("link set far up");
        std::thread::sleep(Duration::from_millis(300));
        (UdpSocket::bind((NEIGHBOUR, 0)).unwrap(), TcpListener::bind((NEIGHBOUR, 0)).unwrap())
    });
    [
        ("loopback, UDP", udp("127.0.0.1", || UdpSocket::bind("127.0.0.1:0").unwrap())),
        ("loopback, TCP", tcp(&TcpListener::bind("127.0.0.1:0").unwrap())),
        ("a neighbour, UDP", udp(OWN, || far)),
        ("a neighbour, TCP", tcp(&listener)),
    ]
}

/// Each kind of action by what it puts into the table, and all of them together.
fn kinds() -> Vec<(&'static str, Vec<Element>)> {
    let stranger: IpAddr = STRANGER.parse().unwrap();
    let lasting = |members: Vec<Member>| members.into_iter().map(|member| Element { member, lasts: Duration::from_secs(600) }).collect();
    let containment = [Member::ContainOut(false), Member::ContainOut(true), Member::ContainIn(6, 20), Member::ContainIn(17, 100_000)];
    let kept = [Member::ContainSsh(22), Member::Keep(NEIGHBOUR.parse().unwrap())];
    let mut kinds: Vec<(&'static str, Vec<Element>)> = vec![
        ("one block, inbound", lasting(vec![Member::Block(stranger, Direction::In)])),
        ("one block, outbound", lasting(vec![Member::Block(stranger, Direction::Out)])),
        ("10000 blocks", elements(10_000)),
        ("a limit", lasting(vec![Member::Limit(stranger, 50)])),
        ("denied to a user", lasting(vec![Member::DenyTo(stranger), Member::DenyUser(65_534, stranger)])),
        ("denied to a cgroup", lasting(vec![Member::DenyTo(stranger), Member::DenyCgroup(1, stranger)])),
        ("denied to a container", lasting(vec![Member::DenyFrom("192.0.2.9".parse().unwrap(), stranger)])),
        ("containment, peer kept", lasting(containment.into_iter().chain(kept).collect())),
    ];
    let all = kinds.iter().filter(|(name, _)| *name != "one block, inbound").flat_map(|(_, elements)| elements.clone()).collect();
    kinds.push(("all of these at once", all));
    kinds
}

pub fn measure(table: &mut Table) {
    alone(|| {
        let nft = Nft::open().unwrap();
        let kinds = kinds();
        for (name, mut pair) in pairs() {
            let (mut bare, mut with) = (vec![Vec::new(); kinds.len()], vec![Vec::new(); kinds.len()]);
            pair.trip();
            for round in 0..ROUNDS {
                for (at, (_, come)) in kinds.iter().enumerate() {
                    // Who comes first changes, so that neither has the warmer caches.
                    for first in [round % 2 == 0, round % 2 != 0] {
                        if first {
                            bare[at].push(pair.trip());
                        } else {
                            nft.change(Shape::Make(Pieces::of(come)), &[], come, &|_| Ok(())).unwrap();
                            with[at].push(pair.trip());
                            nft.delete_table().unwrap();
                        }
                    }
                }
            }
            table.row(&format!("{name}, there and back, without us"), format!("{:.0} ns", median(bare.concat())), "");
            for ((what, _), (with, bare)) in kinds.iter().zip(with.iter().zip(&bare)) {
                let more = median(with.iter().zip(bare).map(|(with, without)| with - without).collect()) / 2.0;
                table.row(&format!("{name}: {what}"), format!("{}, {more:+.0} ns a packet", ratio(with, bare)), "<= 1.05");
            }
        }
    });
}
