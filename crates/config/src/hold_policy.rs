//! `[holds]` of the policy: how addresses that fail to log in beyond `[logins]` are held, and which are never held without a person.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::policy::duration;
use super::policy_check::Objection;
use bartizan_model::parse_network;

/// `[holds]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldPolicy {
    /// Packets a second that a source which is limited for failed logins may still send.
    pub limit_packets: u32,
    /// Former holds of an address within this time make the next one longer.
    #[serde(with = "duration")]
    pub remembered: Duration,
    /// Holds a minute that the agent begins alone; never more than `[actions] most_per_minute`.
    pub most_per_minute: u32,
    /// Holds of the agent alone that are alive at once; never more than `[actions] most_active`.
    pub most_active: u32,
    /// How long one approval blocks the addresses of an attack.
    #[serde(with = "duration")]
    pub campaign_for: Duration,
    /// Proxies and balancers in front of this host.
    pub proxies: Networks,
    /// Addresses from which a content delivery network calls.
    pub cdn: Networks,
}

/// Addresses and ranges, as the owner writes them: `192.0.2.7`, `2001:db8::/48`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// As the owner writes them.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(|network| shown(*network)).collect()
    }

    /// The range in which this address lies, if one.
    pub fn find(&self, addr: IpAddr) -> Option<String> {
        let addr = addr.to_canonical();
        self.0.iter().find(|network| network.contains(&addr)).map(|network| shown(*network))
    }
}

fn shown(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}

impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|network| shown(*network)))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: String| {
            parse_network(&text).ok_or_else(|| {
                let text: String = text.escape_debug().take(60).collect();
                serde::de::Error::custom(format!("\"{text}\" is no network: write an address or a range such as 192.0.2.0/24"))
            })
        };
        Vec::<String>::deserialize(deserializer)?.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// The first value that makes no sense.
pub(super) fn check(holds: &HoldPolicy) -> Result<(), Objection> {
    let object = |key, problem| Err(Objection { section: "holds", key, problem });
    if !(1..=1_000_000).contains(&holds.limit_packets) {
        return object("limit_packets", format!("{} is not between 1 and 1000000", holds.limit_packets));
    }
    for (key, value, most) in [("most_per_minute", holds.most_per_minute, 1000), ("most_active", holds.most_active, 16_384)] {
        if value > most {
            return object(key, format!("{value} is not between 0 and {most}"));
        }
    }
    let (minute, hour, day) = (Duration::from_secs(60), Duration::from_secs(60 * 60), Duration::from_secs(24 * 60 * 60));
    let times = [("remembered", holds.remembered, hour, 30 * day), ("campaign_for", holds.campaign_for, minute, day)];
    match times.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
        Some((key, value, least, most)) => {
            let shown = humantime::format_duration;
            object(key, format!("{} is not between {} and {}", shown(value), shown(least), shown(most)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    #[test]
    fn proxies_and_networks_are_read_and_nonsense_is_refused_by_name() {
        let policy = Policy::parse("[holds]\nproxies = [\"192.0.2.7\", \"2001:db8:1::5/48\"]\n", "p.toml").unwrap();
        let find = |addr: &str| policy.holds.proxies.find(addr.parse().unwrap());
        assert_eq!(find("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(find("2001:db8:1:2::9").as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(find("192.0.2.8"), None);
        assert_eq!(policy.holds.cdn.find("104.16.0.1".parse().unwrap()).as_deref(), Some("104.16.0.0/13"), "the built-in list");
        for (text, problem) in [
            ("[holds]\ncdn = [\"cloudflare\"]\n", "line 2: \"cloudflare\" is no network"),
            ("[holds]\nmost_active = 65000\n", "line 2: holds.most_active: 65000 is not between 0 and 16384"),
            ("[holds]\nremembered = \"1m\"\n", "line 2: holds.remembered: 1m is not between 1h and 30days"),
        ] {
            let told = Policy::parse(text, "p.toml").unwrap_err().to_string();
            assert!(told.starts_with(&format!("p.toml: {problem}")), "{told}");
        }
    }
}
