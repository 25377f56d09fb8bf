//! TLS certificates that servers of this host show, and when they end.

use super::x509;
use crate::host::{Check, HostView, Looked, Notes, join, lines, shown};
use bartizan_model::{HostText, Severity, Timestamp};

pub(in crate::host) const CHECK: Check = Check {
    id: "certificates",
    title: "TLS certificates that expire",
    why: "A certificate that ended shuts every client out, and teaches people to click warnings away.",
    look,
};

/// Directories of configuration in which servers name their certificates, and the words before the path.
const SERVERS: [&[u8]; 7] = [
    b"/etc/nginx", b"/etc/nginx/sites-enabled", b"/etc/nginx/conf.d", b"/etc/apache2/sites-enabled", b"/etc/httpd/conf.d", b"/etc/postfix",
    b"/etc/dovecot/conf.d",
];
const WORDS: [&str; 5] = ["ssl_certificate", "SSLCertificateFile", "smtpd_tls_cert_file", "smtpd_tls_chain_files", "ssl_cert"];
const LETS_ENCRYPT: &[u8] = b"/etc/letsencrypt/live";
/// Certificates, and files of configuration of one directory.
const MAX: usize = 128;
/// Debian's own, made at installation, shown by nobody unless somebody asks for it.
const SNAKEOIL: &[u8] = b"/etc/ssl/certs/ssl-cert-snakeoil.pem";
/// Tools renew thirty days before the end; two weeks before it, nothing renewed it.
const SOON_DAYS: i64 = 14;
const WEEK_DAYS: i64 = 3;

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    let mut paths: Vec<Vec<u8>> = Vec::new();
    for name in view.list(LETS_ENCRYPT).into_iter().take(MAX) {
        paths.push(join(&join(LETS_ENCRYPT, &name), b"cert.pem"));
    }
    for directory in SERVERS {
        for name in view.list(directory).into_iter().take(MAX) {
            let path = join(directory, &name);
            if view.facts(&path).is_none_or(|facts| facts.is_directory) {
                continue;
            }
            let text = notes.text(view, &path).unwrap_or_default();
            paths.extend(named(&text).map(|path| path.as_bytes().to_vec()));
        }
    }
    paths.retain(|path| path != SNAKEOIL && path.starts_with(b"/"));
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        return Looked::NotHere("no certificate is named in the configuration of a server");
    }
    for path in paths.iter().take(MAX) {
        let Some(bytes) = notes.read(view, path) else { continue };
        match x509::first(&bytes) {
            Some(certificate) => judge(path, &certificate, view.now(), notes),
            None => notes.unread(&path[..], "no certificate can be read in it".to_owned()),
        }
    }
    Looked::Done
}

/// Paths that the configuration of a server names.
fn named(text: &str) -> impl Iterator<Item = &str> {
    lines(text).filter_map(|(_, line)| {
        let (word, rest) = line.split_once([' ', '\t', '='])?;
        let path = rest.trim_matches([' ', '\t', '=', ';', '"', '<', '\'']);
        WORDS.contains(&word).then_some(path)
    })
}

fn judge(path: &[u8], certificate: &x509::Certificate, now: Timestamp, notes: &mut Notes) {
    let days = (certificate.until - now).num_days();
    let name = HostText::from(&certificate.name[..]).escaped();
    let (severity, when) = match days {
        _ if certificate.until <= now => (Severity::High, format!("ended on {}", certificate.until.format("%Y-%m-%d"))),
        0..WEEK_DAYS => (Severity::High, format!("ends on {}", certificate.until.format("%Y-%m-%d"))),
        WEEK_DAYS..SOON_DAYS => (Severity::Medium, format!("ends on {}", certificate.until.format("%Y-%m-%d"))),
        _ => return,
    };
    let title = format!("the certificate of {name} in {} {when}", shown(path));
    let evidence = format!("valid until {}", certificate.until.format("%Y-%m-%dT%H:%M:%SZ"));
    let fix = "renew it (`certbot renew`, or as it was made), then reload the server".to_owned();
    notes.found(severity, path, "ends", title, evidence.as_bytes(), fix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    #[test]
    fn only_certificates_near_their_end_are_told() {
        let with = |until: &str| {
            let pem = x509::tests::pem("shop.example", until);
            Fake::default()
                .file("/etc/nginx/sites-enabled/shop", "server {\n  ssl_certificate /etc/ssl/shop.pem;\n}\n")
                .file("/etc/ssl/shop.pem", &pem)
        };
        assert_eq!(with("260301000000Z").finds(&CHECK), []);
        let soon = with("260110000000Z").finds(&CHECK);
        assert!(soon[0].0 == Severity::Medium && soon[0].1.contains("shop.example in /etc/ssl/shop.pem ends on 2026-01-10"), "{soon:?}");
        assert!(with("251231235959Z").finds(&CHECK)[0].1.contains("ended on 2025-12-31"));
        assert!(matches!(Fake::default().look(&CHECK).1, Looked::NotHere(_)));
    }
}
