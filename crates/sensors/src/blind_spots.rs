//! What the sensors of processes and sockets cannot see, in words.

use bartizan_model::{BlindSpot, Rung};
use bartizan_sys::lockdown::{self, Lockdown};

/// What this rung misses; `refused` says why better ones are not in use, `unseen` what this one lacks
/// here, `evicted` how many processes the table had to forget.
pub(super) fn of(rung: Rung, refused: &[(Rung, String)], unseen: &[(&str, String)], evicted: u64) -> Vec<BlindSpot> {
    let lacks = |(what, why): &(&str, String)| spot(what, why, "a kernel from 5.2 with cgroup2 mounted, and eBPF");
    let mut spots: Vec<BlindSpot> = unseen.iter().map(lacks).collect();
    let better: Vec<String> =
        refused.iter().filter(|(other, _)| *other <= rung).map(|(other, why)| format!("{}: {why}", other.noun())).collect();
    let why = better.join("; ");
    let why = if why.is_empty() { "a lower rung is forced (--rung, BARTIZAN_RUNG or agent.toml)" } else { &why };
    let mend = &lockdown::mend_of_bpf(Lockdown::now(), "run as root on the host itself, on a kernel with BTF and BPF");
    match rung {
        Rung::Ebpf if better.is_empty() => {}
        Rung::Ebpf => spots.push(spot("processes and connections", why, mend)),
        Rung::ProcessConnector => {
            spots.push(spot("arguments of very short-lived processes", why, mend));
            spots.push(spot("arguments that a program overwrites immediately, while the host is busy", why, mend));
        }
        Rung::Procfs => {
            spots.push(spot("processes that live less than half a second, and the exit status of processes", why, mend));
            spots.push(spot(
                "the parent of a process whose parent ended within half a second: init is reported as parent, and the event as incomplete",
                why,
                mend,
            ));
            spots.push(spot("arguments that a program overwrote before they were read", why, mend));
        }
    }
    if rung != Rung::Ebpf {
        spots.push(spot("connections shorter than a quarter of a second, and all connections in other network namespaces", why, mend));
        spots.push(spot("loading of kernel modules, and signals to security services", why, mend));
        spots.push(spot("accepted connections, and what connections carried", why, mend));
        spots.push(spot("writing of kernel settings, and false names taken while a process runs", why, mend));
    }
    if evicted > 0 {
        let why = format!("the process table was full and dropped {evicted} entries early");
        spots.push(spot("the ancestors of some past or present processes", &why, "look for a program that starts very many processes"));
    }
    spots
}

fn spot(what: &str, why: &str, mend: &str) -> BlindSpot {
    BlindSpot { what: what.to_owned(), why: why.to_owned(), mend: mend.to_owned() }
}
