//! A message to a syslog server: one datagram, or one frame over TCP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// So long may connecting, and each read or write, take.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long is waited for the other side to close as well: then it has read all of it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends it once; what is known of its arrival, in words.
///
/// # Errors
/// Why it was not sent.
pub(crate) fn send(address: &str, tcp: bool, message: &str) -> Result<String, String> {
    let place = resolve(address)?;
    let outcome = if tcp { over_tcp(place, message) } else { over_udp(place, message) };
    outcome.map_err(|why| format!("{address}: {why}"))
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    let mut found = address.to_socket_addrs().map_err(|why| format!("{address} cannot be resolved: {why}"))?;
    found.next().ok_or_else(|| format!("{address} has no address"))
}

/// RFC 5426: one message a datagram, and nobody says whether it arrived.
fn over_udp(place: SocketAddr, message: &str) -> io::Result<String> {
    let any = if place.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(place)?;
    socket.send(message.as_bytes())?;
    // A host that is there and has no such server says so at once (ICMP port unreachable).
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    match socket.recv(&mut [0; 1]) {
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Err(why),
        _ => Ok("sent; UDP does not say whether it arrived".to_owned()),
    }
}

/// RFC 6587, section 3.4.1: the length, a space, the message.
fn over_tcp(place: SocketAddr, message: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&place, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(FAREWELL))?;
    stream.write_all(format!("{} {message}", message.len()).as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    match stream.read(&mut [0; 64]) {
        Ok(_) => Ok("the server read it and closed the connection".to_owned()),
        Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Ok("sent; the server keeps the connection open and does not say whether it read it".to_owned())
        }
        Err(why) => Err(why),
    }
}
