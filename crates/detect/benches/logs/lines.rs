//! Lines as a real sshd writes them, mixed as on a host that is attacked: the same at each run.

use std::fmt::Write;

/// A number from a number, well mixed (splitmix64).
fn mixed_up(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

const USERS: [&str; 12] = ["root", "admin", "ubuntu", "test", "git", "oracle", "postgres", "deploy", "user", "pi", "ftp", "backup"];

/// So many lines.
pub(crate) fn mixed(count: usize) -> String {
    let mut text = String::with_capacity(count * 130);
    let mut written = 0;
    for connection in 0.. {
        if written >= count {
            break;
        }
        let random = mixed_up(connection);
        let (user, port, pid) = (USERS[random as usize % 12], 1024 + (random >> 8) % 60_000, 1000 + connection % 30_000);
        let source = (random >> 24) % 3000;
        let address = format!("203.{}.113.{}", source / 250, source % 250);
        let second = (connection / 3) % 86_400;
        let stamp = format!("Nov 28 {:02}:{:02}:{:02} vps sshd[{pid}]:", second / 3600 % 12, second / 60 % 60, second % 60);
        let mut line = |message: &str| {
            if written < count {
                let _ = writeln!(text, "{stamp} {message}");
                written += 1;
            }
        };
        match random >> 40 & 7 {
            0..=2 => {
                line(&format!("Invalid user {user}{} from {address} port {port}", random % 97));
                line(&format!("Failed password for invalid user {user}{} from {address} port {port} ssh2", random % 97));
                line(&format!("Connection closed by invalid user {user}{} {address} port {port} [preauth]", random % 97));
            }
            3 | 4 => {
                line(&format!(
                    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address}  user=root"
                ));
                line(&format!("Failed password for root from {address} port {port} ssh2"));
                line(&format!("Received disconnect from {address} port {port}:11: Bye Bye [preauth]"));
                line(&format!("Disconnected from authenticating user root {address} port {port} [preauth]"));
            }
            5 => {
                line(&format!(
                    "Accepted publickey for deploy from 198.51.100.7 port {port} ssh2: ED25519 SHA256:Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2FycGx5"
                ));
                line("pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)");
                line("pam_unix(sshd:session): session closed for user deploy");
            }
            6 => {
                line(&format!("Connection closed by {address} port {port} [preauth]"));
                line("error: kex_exchange_identification: Connection closed by remote host");
            }
            _ => {
                line(&format!("Failed password for root from {address} port {port} ssh2"));
                line(&format!("error: maximum authentication attempts exceeded for root from {address} port {port} ssh2 [preauth]"));
                line(&format!("Disconnecting authenticating user root {address} port {port}: Too many authentication failures [preauth]"));
            }
        }
    }
    text
}

/// The n-th line of a crowd of so many addresses, in place of what was in `line`.
pub(crate) fn of_crowd(n: u32, addresses: u32, line: &mut String) {
    let random = mixed_up(u64::from(n));
    let source = 0x0b00_0000 + (random as u32 % addresses);
    line.clear();
    let address = std::net::Ipv4Addr::from(source);
    let _ = write!(
        line,
        "Nov 28 11:{:02}:{:02} vps sshd[{}]: Failed password for invalid user u{} from {address} port 5 ssh2",
        n / 170_000 % 60,
        n / 3000 % 60,
        1 + n % 4_000_000,
        random >> 50
    );
}
