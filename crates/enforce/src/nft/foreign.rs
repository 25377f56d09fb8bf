//! Who else keeps an address away in nftables: fail2ban, by the names that its own actions give to sets and chains
//! (action.d/nftables.conf, iptables.conf of fail2ban 0.10 to 1.1). Legacy iptables and ipset are not nftables and are not seen.

use std::net::IpAddr;

use super::skeleton::{INET, kind};
use super::wire::{attr, text};
use super::{Nft, NftError, classify};
use bartizan_model::HostText;

/// Families of tables: inet, ip and ip6 (NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6).
const FAMILIES: [(u8, &str); 3] = [(INET, "inet"), (2, "ip"), (10, "ip6")];
/// Sets, and rules of its chains, that are looked at.
const MAX_SETS: usize = 64;
const MAX_RULES: usize = 16_384;

/// What fail2ban has in nftables at one moment.
#[derive(Debug, Default)]
pub struct ForeignBans {
    /// Family, table, name and jail of each set.
    sets: Vec<(u8, String, String, String)>,
    /// A rule of a chain of its own: where, of which jail, and the rule's expressions.
    rules: Vec<(String, String, Vec<u8>)>,
}

impl Nft {
    /// The sets and rules of fail2ban that stand now.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn foreign_bans(&self) -> Result<ForeignBans, NftError> {
        let mut bans = ForeignBans::default();
        for (family, word) in FAMILIES {
            let list = |what| self.0.dump(what, family, |_| {}).map_err(|why| classify("list sets and rules of others", why));
            for set in list(kind::GET_SET)? {
                let (table, name) = (text(attr(&set, 1)), text(attr(&set, 2)));
                let jail = jail_of(&name).map(str::to_owned);
                if let Some(jail) = jail.filter(|_| bans.sets.len() < MAX_SETS) {
                    bans.sets.push((family, table, name, jail));
                }
            }
            for rule in list(kind::GET_RULE)? {
                let (table, chain) = (text(attr(&rule, 1)), text(attr(&rule, 2)));
                if let Some(jail) = chain.strip_prefix("f2b-").filter(|_| bans.rules.len() < MAX_RULES) {
                    let place = format!("chain {} of table {word} {}", shown(&chain), shown(&table));
                    bans.rules.push((place, jail.to_owned(), attr(&rule, 4).to_vec()));
                }
            }
        }
        Ok(bans)
    }

    /// Who keeps this address away besides us, and where: "fail2ban (set addr-set-sshd of table inet f2b-table)". Safe to show. `jail`: it
    /// was that jail's filter, run by us, that named it, so a ban of fail2ban's own jail of the name closes the same ports.
    pub fn ban_of(&self, bans: &ForeignBans, addr: IpAddr, jail: Option<&str>) -> Option<String> {
        let addr = addr.to_canonical();
        let key: Vec<u8> = match addr {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let closes = |other: &str| jail.map_or_else(|| is_for_logins(other), |jail| other == jail || other == "recidive");
        let holds = |(family, table, set, _): &&(u8, String, String, String)| {
            let asked = self.0.ask(kind::GET_ELEMENT, *family, |b| {
                b.name(1, table);
                b.name(2, set);
                b.nest(3, |b| b.nest(1, |b| b.nest(1, |b| b.attr(1, &key))));
            });
            asked.is_ok()
        };
        // A set of the other family would take the bytes of an address for something else.
        let fits = |name: &str| if addr.is_ipv4() { !name.starts_with("addr6") } else { name.starts_with("addr6") };
        if let Some((family, table, set, _)) = bans.sets.iter().filter(|(_, _, name, jail)| fits(name) && closes(jail)).find(holds) {
            let word = FAMILIES.iter().find(|(number, _)| number == family).map_or("", |(_, word)| word);
            return Some(format!("fail2ban (set {} of table {word} {})", shown(set), shown(table)));
        }
        // The value that a comparison asks for: the head of NFTA_DATA_VALUE and the address.
        let length = u16::try_from(key.len() + 4).unwrap_or_default().to_ne_bytes();
        let wanted = [length.as_slice(), &1_u16.to_ne_bytes(), &key].concat();
        let rule = bans
            .rules
            .iter()
            .filter(|(_, jail, _)| closes(jail))
            .find(|(_, _, rule)| rule.windows(wanted.len()).any(|part| part == wanted))?;
        Some(format!("fail2ban ({})", rule.0))
    }
}

/// The jail whose bans a set has.
fn jail_of(set: &str) -> Option<&str> {
    ["addr-set-", "addr6-set-"].iter().find_map(|begin| set.strip_prefix(begin))
}

/// By the jail's name, as fail2ban's own configuration has it; `recidive` closes every port. The jail of a web server closes ports of its
/// own: who is banned there on purpose goes on at SSH.
fn is_for_logins(jail: &str) -> bool {
    jail.starts_with("sshd") || jail == "recidive"
}

fn shown(name: &str) -> String {
    HostText::from(name).escaped().chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_isolation::own_netns::in_own_network;
    use std::process::Command;

    fn run(program: &str, words: &str) -> bool {
        Command::new(program).args(words.split(' ')).status().is_ok_and(|status| status.success())
    }

    #[test]
    fn what_fail2ban_holds_is_seen_in_its_sets_and_in_its_chains_and_nothing_else() {
        in_own_network(|| {
            let nft = Nft::open().unwrap();
            assert_eq!(nft.ban_of(&nft.foreign_bans().unwrap(), "203.0.113.5".parse().unwrap(), None), None, "an empty ruleset");
            for line in [
                "add table inet f2b-table",
                "add set inet f2b-table addr-set-sshd { type ipv4_addr; }",
                "add element inet f2b-table addr-set-sshd { 203.0.113.5 }",
                "add set inet f2b-table addr6-set-sshd { type ipv6_addr; }",
                "add element inet f2b-table addr6-set-sshd { 2001:db8::5 }",
                "add set inet f2b-table addr-set-nginx-http-auth { type ipv4_addr; }",
                "add element inet f2b-table addr-set-nginx-http-auth { 203.0.113.8 }",
                "add table ip mine",
                "add set ip mine friends { type ipv4_addr; }",
                "add element ip mine friends { 203.0.113.6 }",
            ] {
                assert!(run("nft", line), "{line}");
            }
            let chains = run("iptables-nft", "-N f2b-sshd") && run("iptables-nft", "-A f2b-sshd -s 203.0.113.7/32 -j REJECT");
            let bans = nft.foreign_bans().unwrap();
            let held = |addr: &str| nft.ban_of(&bans, addr.parse().unwrap(), None);
            let held_for = |jail, addr: &str| nft.ban_of(&bans, addr.parse().unwrap(), Some(jail));
            assert_eq!(
                held_for("nginx-http-auth", "203.0.113.8").unwrap(),
                "fail2ban (set addr-set-nginx-http-auth of table inet f2b-table)"
            );
            assert_eq!(held_for("nginx-http-auth", "203.0.113.5"), None, "who is banned from SSH goes on there");
            assert_eq!(held("::ffff:203.0.113.5").unwrap(), "fail2ban (set addr-set-sshd of table inet f2b-table)");
            assert_eq!(held("2001:db8::5").unwrap(), "fail2ban (set addr6-set-sshd of table inet f2b-table)");
            assert_eq!((held("203.0.113.6"), held("203.0.113.8"), held("2001:db8::6")), (None, None, None));
            match chains {
                true => assert_eq!(held("203.0.113.7").unwrap(), "fail2ban (chain f2b-sshd of table ip filter)"),
                false => eprintln!("iptables-nft is not here: chains are not tried"),
            }
        });
    }
}
