//! Several hosts on one machine: the guarded host and its resolver on one network, the operator and a stranger on others,
//! the gateway between them. Addresses are of documentation networks (RFC 5737, RFC 3849).

use std::net::UdpSocket;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::guarded::Guarded;
use super::network::Network;

/// The guarded host.
pub const HOST: [&str; 2] = ["198.51.100.1", "2001:db8:1::1"];
/// Its gateway.
pub const GATEWAY: [&str; 2] = ["198.51.100.254", "2001:db8:1::fe"];
/// Its name server, on its own network.
pub const RESOLVER: &str = "198.51.100.53";
/// Its time server, there too.
pub const CLOCK: &str = "198.51.100.123";
/// The operator, beyond the gateway.
pub const OPERATOR: [&str; 2] = ["192.0.2.7", "2001:db8:2::7"];
/// Somebody else, beyond the gateway.
pub const STRANGER: [&str; 2] = ["203.0.113.66", "2001:db8:3::66"];
/// Another address of that somebody, about which nobody was asked before.
pub const SECOND_STRANGER: &str = "203.0.113.67";

/// All of it.
pub struct Lan {
    pub host: Guarded,
    pub operator: Network,
    pub stranger: Network,
    pub gateway: Network,
    pub resolver: Network,
    ends: Arc<AtomicBool>,
}

fn ip(network: &Network, words: &str) {
    let output = Command::new("ip").args(["-n", network.name()]).args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn inside(network: &Network, line: &str) {
    let output = Command::new("nsenter").arg(format!("--net={}", network.file())).args(["sh", "-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A cable from `network` to a port of the gateway; `addresses` are the far end's own, the first two with a way to everywhere.
fn plug(gateway: &Network, port: &str, network: &Network, addresses: &[&str], way: Option<[&str; 2]>) {
    ip(gateway, &format!("link add {port} type veth peer name wire netns {}", network.name()));
    ip(gateway, &format!("link set {port} up"));
    inside(network, "echo 0 >/proc/sys/net/ipv6/conf/wire/accept_dad");
    for address in addresses {
        let bits = if address.contains(':') { "64" } else { "24" };
        ip(network, &format!("address add {address}/{bits} dev wire"));
    }
    ip(network, "link set wire up");
    for hop in way.into_iter().flatten() {
        ip(network, &format!("route add default via {hop}"));
    }
}

impl Lan {
    pub fn new() -> Self {
        let [host, operator, stranger, gateway, resolver] = [0; 5].map(|_| Network::new());
        ip(&gateway, "link add lan type bridge");
        inside(&gateway, "echo 0 >/proc/sys/net/ipv6/conf/lan/accept_dad; echo 1 >/proc/sys/net/ipv4/ip_forward");
        inside(&gateway, "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
        ip(&gateway, "link set lan up");
        plug(&gateway, "to-host", &host, &HOST, Some(GATEWAY));
        plug(&gateway, "to-resolver", &resolver, &[RESOLVER, CLOCK], None);
        ip(&gateway, "link set to-host master lan");
        ip(&gateway, "link set to-resolver master lan");
        ip(&gateway, &format!("address add {}/24 dev lan", GATEWAY[0]));
        ip(&gateway, &format!("address add {}/64 dev lan", GATEWAY[1]));
        let strangers = [STRANGER[0], STRANGER[1], SECOND_STRANGER];
        for (network, port, addresses, ends) in [
            (&operator, "to-operator", OPERATOR.as_slice(), ["192.0.2.254", "2001:db8:2::fe"]),
            (&stranger, "to-stranger", strangers.as_slice(), ["203.0.113.254", "2001:db8:3::fe"]),
        ] {
            plug(&gateway, port, network, addresses, None);
            inside(&gateway, &format!("echo 0 >/proc/sys/net/ipv6/conf/{port}/accept_dad"));
            ip(&gateway, &format!("address add {}/24 dev {port}", ends[0]));
            ip(&gateway, &format!("address add {}/64 dev {port}", ends[1]));
            ends.iter().for_each(|hop| ip(network, &format!("route add default via {hop}")));
        }
        let host = Guarded::new(host);
        // In place: the file is a bind mount where the machine had one.
        host.shell(&format!("rm -f /etc/resolv.conf 2>/dev/null; echo 'nameserver {RESOLVER}' >/etc/resolv.conf"));
        host.shell(&format!("mkdir -p /etc/systemd && printf '[Time]\\nNTP={CLOCK}\\n' >/etc/systemd/timesyncd.conf"));
        let lan = Self { host, operator, stranger, gateway, resolver, ends: Arc::default() };
        lan.answer_names();
        lan
    }

    /// A name server that answers every question with an empty answer.
    fn answer_names(&self) {
        let socket = self.resolver.within(|| UdpSocket::bind((RESOLVER, 53)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let ends = Arc::clone(&self.ends);
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while !ends.load(Ordering::Relaxed) {
                let Ok((length, asker)) = socket.recv_from(&mut bytes) else { continue };
                if length >= 12 {
                    // QR and RA (RFC 1035, 4.1.1): an answer without records.
                    (bytes[2], bytes[3]) = (bytes[2] | 0x80, 0x80);
                    let _ = socket.send_to(&bytes[..length], asker);
                }
            }
        });
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}
