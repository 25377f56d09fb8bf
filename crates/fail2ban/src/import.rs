//! All jails of an installed fail2ban, and what becomes of each.

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::filter::Filter;
use super::installed::Installed;
use super::jail::Jail;
use super::problem::Problem;

/// Jails that are read.
const MAX_JAILS: usize = 500;

/// What an installed fail2ban does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The jails, in the order in which they stand there.
    pub jails: Vec<Jail>,
    /// What is not understood outside of a single jail.
    pub problems: Vec<Problem>,
}

/// The service whose lines our own parsers read, where this filter reads them too.
pub fn own_parser(filter: &str) -> Option<&'static str> {
    Some(match filter {
        "sshd" => "sshd",
        "dovecot" => "Dovecot",
        "postfix" => "Postfix",
        "vsftpd" => "vsftpd",
        "proftpd" => "ProFTPD",
        "pure-ftpd" => "Pure-FTPd",
        "pam-generic" => "PAM",
        "nginx-http-auth" => "nginx's error log",
        "apache-auth" => "Apache's error log",
        _ => return None,
    })
}

/// Reads the jails and the filters of those that are enabled (`all`: of all). Each filter is compiled once, so that whatever is not
/// understood is named here and not when it is run.
pub fn import(installed: &Installed, all: bool) -> Import {
    let mut problems = installed.problems.clone();
    let Some(mut config) = Config::read(installed, "jail") else { return Import { jails: Vec::new(), problems } };
    problems.append(&mut config.problems);
    let names: Vec<String> = config.order.iter().filter(|name| !matches!(name.as_str(), "INCLUDES" | "DEFAULT")).cloned().collect();
    if names.len() > MAX_JAILS {
        problems.push(Problem::new("jail.conf", "", "", format!("more than {MAX_JAILS} jails: the others are not read")));
    }
    let mut jails = Vec::new();
    for name in names.iter().take(MAX_JAILS) {
        let mut jail = Jail::read(installed, &config, name);
        if !(all || jail.enabled) {
            // What is not run needs no filter; its name is kept for the table.
            (jail.spec, jail.problems) = (None, Vec::new());
        } else if let Some(spec) = &jail.spec {
            let (filter, mut found) = Filter::new(spec);
            jail.problems.append(&mut found);
            if filter.is_none() {
                jail.spec = None;
            }
        }
        jails.push(jail);
    }
    Import { jails, problems }
}
