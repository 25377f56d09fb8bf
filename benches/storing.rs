//! What storing costs: 60,000 events of an exec storm and a million more, as CPU seconds, bytes on disk and times of questions.
//!
//! `cargo bench --bench storing` prints one table. It needs no root and no agent; everything lies in a temporary directory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::indexing_slicing)] // a bench fails by panic

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_model::{
    Ancestor, BootId, Event, EventId, EventKind, ExeFile, Exit, HostText, Lineage, Namespaces, Process, ProcessKey, Root, ServiceRole,
    Source, Timestamp,
};
use bartizan_protocol::EventQuery;
use bartizan_store::{Archive, Packer, Reader};

const EXECS: u64 = 20_000;
/// Events that the pipeline hands over at once.
const BATCH: usize = 512;
/// The smallest cap that the configuration allows.
const CAP: u64 = 16 << 20;

fn main() {
    storm();
    quiet();
    million();
}

/// What an exec storm below a login shell looks like: a fork that is its parent's image, an exec with arguments of its own, an exit.
struct Storm {
    made: u64,
    shell: Arc<Process>,
}

impl Storm {
    fn new() -> Self {
        let key = |pid| ProcessKey { boot: BootId(0x1f2e_3d4c), pid, start: 40_000 + u64::from(pid) };
        let above = ["/usr/bin/bash", "/usr/bin/su", "/usr/bin/bash", "/usr/sbin/sshd", "/usr/sbin/sshd", "/usr/lib/systemd/systemd"];
        let ancestors =
            above.iter().zip([900, 890, 880, 870, 600, 1]).map(|(exe, pid)| Ancestor { key: key(pid), exe: HostText::from(*exe) });
        let root = Root { role: ServiceRole::SshServer, key: key(870), exe: HostText::from("/usr/sbin/sshd") };
        let shell = Process {
            ppid: 900,
            parent: Some(key(900)),
            exe: HostText::from("/home/operator/bench/storm"),
            exe_file: ExeFile { device: 0x80_0001, inode: 131_842, changed: 1_763_600_000_000_000_000, ..ExeFile::default() },
            argv: ["./storm", "20000", "token-run0", "/tmp/.tmpX9f/tiny"].map(HostText::from).to_vec(),
            cwd: HostText::from("/home/operator/bench"),
            uid: 1000,
            euid: 1000,
            user: Some(HostText::from("operator")),
            loginuid: Some(1000),
            session: Some(3),
            cgroup: HostText::from("/user.slice/user-1000.slice/session-3.scope"),
            netns: 4_026_531_840,
            namespaces: Namespaces { mnt: 4_026_531_841, pid: 4_026_531_836, user: 4_026_531_837 },
            tty: Some(HostText::from("pts/3")),
            since: moment(0),
            lineage: Lineage { ancestors: ancestors.collect(), elided: 0, roots: Arc::from(vec![root]) },
            ..Process::unknown(key(901), moment(0))
        };
        Self { made: 0, shell: Arc::new(shell) }
    }

    /// Fork, exec and exit of the next process.
    fn next(&mut self) -> [Event; 3] {
        let number = self.made / 3;
        // No two alike, as on a real host: what repeats would compress too well.
        let at = moment(number as i64 * 40_000 + jitter(self.made));
        let key = ProcessKey { boot: BootId(0x1f2e_3d4c), pid: 1000 + (number % 4_000_000) as u32, start: 41_000 + number / 250 };
        let mut child = (*self.shell).clone();
        (child.key, child.pid, child.ppid, child.parent, child.since) = (key, key.pid, self.shell.pid, Some(self.shell.key), at);
        child.lineage.ancestors = below(&self.shell);
        let mut tiny = child.clone();
        tiny.exe = HostText::from("/tmp/.tmpX9f/tiny");
        tiny.exe_file.inode = 131_900;
        tiny.argv = vec![HostText::from("tiny"), HostText::from(format!("token-run0-{number}"))];
        tiny.lineage.ancestors = below(&child);
        let exit = EventKind::Exit { exit: Exit { code: Some(0), signal: None } };
        let tiny = Arc::new(tiny);
        [(EventKind::Fork, Arc::new(child)), (EventKind::Exec, Arc::clone(&tiny)), (exit, tiny)].map(|(kind, process)| {
            self.made += 1;
            let at = at + chrono::TimeDelta::nanoseconds(jitter(self.made) / 4);
            Event { id: EventId(self.made), at, kind, process: Some(process), source: Source::Ebpf, complete: true }
        })
    }

    fn batch(&mut self) -> Vec<Event> {
        (0..BATCH / 3).flat_map(|_| self.next()).collect()
    }
}

fn below(parent: &Process) -> Arc<[Ancestor]> {
    let nearest = Ancestor { key: parent.key, exe: parent.exe.clone() };
    std::iter::once(nearest).chain(parent.lineage.ancestors.iter().cloned()).collect()
}

/// Something from 0 to 40,000 that cannot be foretold (the finaliser of SplitMix64).
fn jitter(seed: u64) -> i64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) % 40_000) as i64
}

fn moment(nanos: i64) -> Timestamp {
    Timestamp::from_timestamp_nanos(1_763_640_000_000_000_000 + nanos)
}

/// CPU seconds of this process, from `/proc/self/schedstat` of its only thread, in nanoseconds there.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn on_disk(dir: &Path) -> (u64, u64) {
    let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |metadata| metadata.len());
    (size("archive.db"), size("archive.db-wal"))
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn storm() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut writer = archive.writer().unwrap();
    let (mut source, mut packer) = (Storm::new(), Packer::default());
    let (mut packing, mut writing, mut json) = (0.0, 0.0, 0);
    let mut blocks = 0;
    while source.made < EXECS * 3 {
        let batch = source.batch();
        json += serde_json::to_vec(&batch[0]).unwrap().len() * batch.len();
        let begun = cpu();
        let mut full = Vec::new();
        for event in &batch {
            packer.push(event).unwrap();
            if packer.is_full() {
                full.extend(packer.take());
            }
        }
        drop(batch);
        let packed = cpu();
        blocks += full.len();
        full.into_iter().for_each(|block| writer.blocks(&[block]).unwrap());
        packing += packed - begun;
        writing += cpu() - packed;
    }
    let rest = packer.take();
    writer.blocks(&rest.into_iter().collect::<Vec<_>>()).unwrap();
    let (_, log) = on_disk(dir.path());
    let file = writer.bytes().unwrap();
    println!("storm of {EXECS} execs, {} events in {blocks} blocks", source.made);
    println!("  packing                {packing:>8.3} s CPU (where the events are; frees them too)");
    println!("  compressing, writing   {writing:>8.3} s CPU (the recorder's thread)");
    println!(
        "  on disk                {:>8.2} MiB, {} bytes an event (as JSON about {})",
        mib(file),
        file / source.made,
        json as u64 / source.made
    );
    println!("  write-ahead log        {:>8.2} MiB", mib(log));
    questions(&archive.reader().unwrap());
}

/// A host where little happens: a block for each program.
fn quiet() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut writer = archive.writer().unwrap();
    let (mut source, start, empty) = (Storm::new(), cpu(), writer.bytes().unwrap());
    for _ in 0..1_000 {
        writer.events(&source.next()).unwrap();
    }
    let (used, bytes) = ((cpu() - start) * 1e6 / 1_000.0, (writer.bytes().unwrap() - empty) / source.made);
    println!("1,000 blocks of 3 events: {used:.0} microseconds CPU a block, {bytes} bytes an event");
}

fn million() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let mut writer = archive.writer().unwrap();
    let mut source = Storm::new();
    let (mut begun, mut used, mut most_log) = (0, 0.0, 0);
    while source.made < 1_000_000 {
        let batch = source.batch();
        let start = cpu();
        writer.events(&batch).unwrap();
        used += cpu() - start;
        most_log = most_log.max(on_disk(dir.path()).1);
        if source.made > 100_000 && begun == 0 {
            begun = rss_kib();
        }
    }
    let (file, _) = on_disk(dir.path());
    println!("{} events, a block for each {BATCH}", source.made);
    println!("  writing                {used:>8.3} s CPU, {:.2} MiB on disk, log at most {:.2} MiB", mib(file), mib(most_log));
    println!("  resident               {:>8.2} MiB after 100,000, {:.2} MiB after all", begun as f64 / 1024.0, rss_kib() as f64 / 1024.0);
    questions(&archive.reader().unwrap());
    let start = cpu();
    let swept = writer.retain(CAP, Timestamp::UNIX_EPOCH).unwrap();
    drop(writer);
    let (file, log) = on_disk(dir.path());
    println!(
        "  cut to {:.0} MiB          {:>8.3} s CPU, {} events gone; file {:.2} MiB, log {:.2} MiB",
        mib(CAP),
        cpu() - start,
        swept.events,
        mib(file),
        mib(log)
    );
}

/// Typical questions, best of three.
fn questions(reader: &Reader) {
    let all = EventQuery { limit: 100, ..EventQuery::default() };
    let fitting = |filter: &str| EventQuery { filter: Some(filter.parse().unwrap()), ..all.clone() };
    let kind = |kind: &str| EventQuery { kind: Some(kind.to_owned()), ..all.clone() };
    for (what, filter) in [
        ("the newest 100", all.clone()),
        ("the newest 10,000", EventQuery { limit: 10_000, ..all.clone() }),
        ("100 execs", kind("process.exec")),
        ("a kind that is not there", kind("net.connect")),
        ("a text that is not there", fitting("/usr/bin/nmap")),
        ("a text that is there once", fitting("token-run0-7777\"")),
        ("an address that is not there", fitting("203.0.113.7")),
        ("a number that is not there", fitting("4294967295")),
        ("digits of a time or key", fitting("74711001")),
        ("a program not there", fitting("process.exe=/tmp/evil/*")),
        ("a process id not there", fitting("process.pid=77")),
        ("a network not there", fitting("net.dst=10.0.0.0/8")),
        ("and, or, not", fitting("process.exe=/tmp/* and not (process.uid=1000 or process.tty=pts/*)")),
    ] {
        let ask = || {
            let begun = Instant::now();
            let found = reader.events(&filter).unwrap();
            assert_eq!(found.unreadable, 0);
            (begun.elapsed(), found.records.len())
        };
        let (took, found) = (0..3).map(|_| ask()).min().unwrap_or((Duration::ZERO, 0));
        println!("  {what:<27}{:>8.2} ms, {found} found", took.as_secs_f64() * 1e3);
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
