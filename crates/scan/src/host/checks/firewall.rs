//! Whether the packet filter refuses anything that comes in, by its rules as nft(8) prints them. Nothing is changed.

use crate::host::{Check, HostView, Looked, Notes, Reading};
use bartizan_model::Severity;

pub(in crate::host) const CHECK: Check = Check {
    id: "firewall",
    title: "firewall policy",
    why: "A firewall that refuses by default keeps a service that somebody starts by mistake from being found by strangers.",
    look,
};

fn look(view: &dyn HostView, notes: &mut Notes) -> Looked {
    // Rules of the older interface are not in nft's list (ip_tables_names: iptables-legacy(8)).
    let has_old = |path: &[u8]| matches!(view.read(path), Reading::Bytes(names) if !names.is_empty());
    if has_old(b"/proc/net/ip_tables_names") {
        return Looked::NotPossible(
            "rules of the older iptables are loaded, which are not judged: look at `iptables-legacy -S`".to_owned(),
        );
    }
    let rules = match view.packet_filter() {
        Ok(Some(rules)) => rules,
        Ok(None) => return Looked::NotPossible("there is no nft to ask for the rules (apt install nftables)".to_owned()),
        Err(why) => return Looked::NotPossible(why),
    };
    if !refuses_by_default(&rules) {
        let title = "the packet filter lets everything in that is not refused one by one".to_owned();
        let fix =
            "allow SSH and what else you serve, then refuse the rest: `apt install ufw && ufw allow OpenSSH && ufw enable`".to_owned();
        let evidence = if rules.trim().is_empty() { "no rules" } else { "no input chain drops or rejects what nothing allows" };
        notes.found(Severity::Low, "packet filter", "open", title, evidence.as_bytes(), fix);
    }
    Looked::Done
}

/// Whether some base chain at the input hook has the policy to drop, or ends with a rule that drops or rejects everything. Our own table has
/// neither. `ufw` and `firewalld` jump from there to chains of their own; for them the policy or the last rule is the sign as well.
fn refuses_by_default(rules: &str) -> bool {
    let mut in_input = false;
    let mut last = "";
    for line in rules.lines().map(str::trim) {
        if line.starts_with("chain ") {
            (in_input, last) = (false, "");
        } else if line.starts_with("type filter hook input") {
            in_input = true;
            if line.contains("policy drop") {
                return true;
            }
        } else if line == "}" {
            let plain = last.split_once(" comment ").map_or(last, |(rule, _)| rule);
            let everything = plain
                .strip_prefix("counter ")
                .map_or(plain, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || " packetsbytes".contains(c)));
            if in_input && (everything.starts_with("drop") || everything.starts_with("reject")) {
                return true;
            }
            in_input = false;
        } else if in_input && !line.is_empty() {
            last = line;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::trial::Fake;

    fn with(rules: &str) -> Fake {
        Fake { rules: Some(rules.to_owned()), ..Fake::default() }
    }

    #[test]
    fn a_filter_that_refuses_by_default_is_good() {
        let chain = |policy: &str, rules: &str| {
            format!(
                "table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy {policy};\n{rules}\t}}\n}}\n"
            )
        };
        for good in [
            chain("drop", ""),
            chain("accept", "\t\ttcp dport 22 accept\n\t\tcounter packets 3 bytes 180 drop\n"),
            chain("accept", "\t\treject with icmpx admin-prohibited\n"),
        ] {
            assert_eq!(with(&good).finds(&CHECK), [], "{good}");
        }
        let output = "table ip f {\n\tchain output {\n\t\ttype filter hook output priority 0; policy drop;\n\t}\n}\n";
        for bad in ["", output, &chain("accept", "\t\tip saddr 192.0.2.1 drop\n")] {
            assert_eq!(with(bad).finds(&CHECK).len(), 1, "{bad}");
        }
        assert!(matches!(Fake::default().look(&CHECK).1, Looked::NotPossible(_)));
        let old = with("").file("/proc/net/ip_tables_names", "filter\n");
        assert!(matches!(old.look(&CHECK).1, Looked::NotPossible(_)));
    }
}
