//! Probes that the owner declared: a page over HTTP, or a TCP connection; asked, never told anything.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bartizan_config::signs::DeclaredProbe;

/// Addresses of one name that are taken.
const MAX_ADDRESSES: usize = 8;

/// Asks once; what was seen, in a few words.
///
/// # Errors
/// Why it is not well: not reached, too late, or a server's own error (status 500 and above).
pub fn ask(probe: &DeclaredProbe, within: Duration) -> Result<String, String> {
    match probe {
        DeclaredProbe::Http(url) => http(url, within),
        DeclaredProbe::Tcp(host, port) => tcp(host, *port, within),
    }
}

/// Where it leads to.
pub fn addresses(probe: &DeclaredProbe) -> Vec<SocketAddr> {
    let (host, port) = match probe {
        DeclaredProbe::Tcp(host, port) => (host.clone(), *port),
        DeclaredProbe::Http(url) => {
            let url = reqwest::Url::parse(url).ok();
            let place = url.and_then(|url| Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?)));
            let Some(place) = place else { return Vec::new() };
            place
        }
    };
    (host.as_str(), port).to_socket_addrs().map(|all| all.take(MAX_ADDRESSES).collect()).unwrap_or_default()
}

fn tcp(host: &str, port: u16, within: Duration) -> Result<String, String> {
    let deadline = Instant::now() + within;
    let addresses = (host, port).to_socket_addrs().map_err(|why| format!("has no address ({})", why.kind()))?;
    let mut last = "has no address".to_owned();
    for address in addresses.take(MAX_ADDRESSES) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("is not reached in time".to_owned());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok("accepts a connection".to_owned()),
            Err(why) => last = format!("does not accept a connection ({})", why.kind()),
        }
    }
    Err(last)
}

fn http(url: &str, within: Duration) -> Result<String, String> {
    // The first provider of a process stays; a second call only says so.
    drop(rustls::crypto::ring::default_provider().install_default());
    let agent = concat!("bartizan/", env!("CARGO_PKG_VERSION"));
    let client = reqwest::Client::builder()
        .timeout(within)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // A probe asks whether a service lives, not who it is; what it says is thrown away.
        .tls_danger_accept_invalid_certs(true)
        .user_agent(agent)
        .build()
        .map_err(|why| format!("cannot be asked ({})", why.without_url()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())?;
    let answer = runtime.block_on(async { client.get(url).send().await }).map_err(|why| match why.is_timeout() {
        true => format!("does not answer within {}", humantime::format_duration(within)),
        false => format!("does not answer ({})", why.without_url()),
    })?;
    match answer.status().as_u16() {
        status @ 500.. => Err(format!("answers with status {status}")),
        status => Ok(format!("answers with status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn serve(lines: &'static [&'static str]) -> u16 {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for line in lines {
                let mut stream = server.accept().unwrap().0;
                let _ = stream.read(&mut [0; 1024]);
                stream.write_all(line.as_bytes()).unwrap();
            }
        });
        port
    }

    #[test]
    fn a_page_is_well_unless_the_server_says_that_it_is_not() {
        let port = serve(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"]);
        let probe = DeclaredProbe::Http(format!("http://127.0.0.1:{port}/health"));
        let within = Duration::from_secs(2);
        assert_eq!(ask(&probe, within), Ok("answers with status 200".to_owned()));
        assert_eq!(ask(&probe, within), Err("answers with status 503".to_owned()));
        assert!(ask(&probe, within).unwrap_err().starts_with("does not answer"));
    }

    #[test]
    fn where_a_probe_leads_is_known() {
        let leads = |word: &str| addresses(&word.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(leads("tcp 127.0.0.1:5432"), ["127.0.0.1:5432"]);
        assert_eq!(leads("http://127.0.0.1/health"), ["127.0.0.1:80"]);
        assert_eq!(leads("https://[2001:db8::1]/x"), ["[2001:db8::1]:443"]);
    }

    #[test]
    fn a_connection_is_enough() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let probe = DeclaredProbe::Tcp("127.0.0.1".to_owned(), server.local_addr().unwrap().port());
        assert!(ask(&probe, Duration::from_secs(1)).is_ok());
        drop(server);
        assert!(ask(&probe, Duration::from_secs(1)).unwrap_err().contains("does not accept"));
    }
}
