//! A host in virtual time: what runs on it week after week, from a seed. The shapes (which programs, how often, whom they call) are those of
//! Debian servers with nginx, php-fpm, PostgreSQL, cron and unattended upgrades.

use std::sync::Arc;

use bartizan_baseline::{Baseline, Circumstances, Deviation};
use bartizan_model::{
    Ancestor, BootId, Event, EventId, EventKind, Exit, FileChange, FileChangeKind, Flow, HostText, Lineage, LogLine, Login, Process,
    ProcessKey, Protocol, Root, ServiceRole, Sha256, Source, Timestamp, Traffic,
};

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;
/// A Monday, midnight UTC, two weeks before clocks go forward in Europe.
pub(super) const START: i64 = 1_741_564_800;

/// Who runs: what a process of it looks like.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) exe: &'static str,
    pub(super) unit: Option<&'static str>,
    pub(super) user: &'static str,
    pub(super) role: Option<(ServiceRole, &'static str)>,
    pub(super) package: Option<&'static str>,
    pub(super) parent: &'static str,
}

pub(super) const PHP: Who = Who {
    exe: "/usr/sbin/php-fpm8.2",
    unit: Some("php8.2-fpm.service"),
    user: "www-data",
    role: Some((ServiceRole::WebServer, "/usr/sbin/php-fpm8.2")),
    package: Some("php8.2-fpm"),
    parent: "/usr/lib/systemd/systemd",
};
pub(super) const POSTGRES: Who = Who {
    exe: "/usr/lib/postgresql/15/bin/postgres",
    unit: Some("postgresql@15-main.service"),
    user: "postgres",
    role: Some((ServiceRole::Database, "/usr/lib/postgresql/15/bin/postgres")),
    package: Some("postgresql-15"),
    parent: "/usr/lib/systemd/systemd",
};
pub(super) const BACKUP: Who = Who {
    exe: "/usr/bin/restic",
    unit: Some("backup.service"),
    user: "root",
    role: None,
    package: Some("restic"),
    parent: "/usr/lib/systemd/systemd",
};
pub(super) const CRON_JOB: Who = Who {
    exe: "/usr/bin/python3.11",
    unit: Some("cron.service"),
    user: "app",
    role: Some((ServiceRole::Scheduler, "/usr/sbin/cron")),
    package: Some("python3.11-minimal"),
    parent: "/usr/bin/dash",
};
pub(super) const MONITOR: Who = Who {
    exe: "/usr/bin/telegraf",
    unit: Some("telegraf.service"),
    user: "telegraf",
    role: None,
    package: Some("telegraf"),
    parent: "/usr/lib/systemd/systemd",
};
pub(super) const APP: Who = Who {
    exe: "/opt/shop/bin/worker",
    unit: Some("shop-worker.service"),
    user: "shop",
    role: None,
    package: None,
    parent: "/usr/lib/systemd/systemd",
};
pub(super) const MAIL: Who = Who {
    exe: "/usr/sbin/exim4",
    unit: Some("exim4.service"),
    user: "Debian-exim",
    role: Some((ServiceRole::MailServer, "/usr/sbin/exim4")),
    package: Some("exim4-daemon-light"),
    parent: "/usr/lib/systemd/systemd",
};
pub(super) const CERTBOT: Who = Who {
    exe: "/usr/bin/python3.11",
    unit: Some("certbot.service"),
    user: "root",
    role: None,
    package: Some("python3.11-minimal"),
    parent: "/usr/lib/systemd/systemd",
};

/// The host and what it has learned.
pub(super) struct Host {
    pub(super) baseline: Baseline,
    pub(super) now: i64,
    seed: u64,
    next_event: u64,
    next_pid: u32,
    boot: u32,
    pub(super) found: Vec<(i64, Deviation)>,
    pub(super) about: Circumstances,
    pub(super) complete: bool,
    deployed: u8,
    looked: i64,
}

impl Host {
    pub(super) fn new(seed: u64, baseline: Baseline) -> Self {
        Self {
            baseline,
            now: START,
            seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            next_event: 1,
            next_pid: 1000,
            boot: 1,
            found: Vec::new(),
            about: Circumstances::default(),
            complete: true,
            deployed: 1,
            looked: START,
        }
    }

    /// A number below `limit` (xorshift64*, Vigna 2016).
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        (self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit.max(1)
    }

    fn around(&mut self, seconds: i64) -> i64 {
        i64::try_from(self.below(seconds.unsigned_abs())).unwrap() - seconds / 2
    }

    /// A new process of somebody.
    pub(super) fn process(&mut self, who: &Who) -> Process {
        self.next_pid += 1;
        let start = u64::try_from(self.now - START).unwrap() * 100 + u64::from(self.next_pid % 100);
        let key = ProcessKey { boot: BootId(self.boot), pid: self.next_pid, start };
        let parent = ProcessKey { boot: BootId(self.boot), pid: 900, start: 1 };
        let root = |(role, exe): (ServiceRole, &str)| {
            let key = if exe == who.exe { key } else { parent };
            Root { role, key, exe: exe.into() }
        };
        let mut process = Process::unknown(key, Timestamp::from_timestamp(self.now, 0).unwrap());
        process.exe = who.exe.into();
        process.unit = who.unit.map(str::to_owned);
        process.user = Some(who.user.into());
        process.package = who.package.map(HostText::from);
        if who.package.is_none() {
            process.exe_file.sha256 = Some(Sha256([self.deployed; 32]));
        }
        process.lineage = Lineage {
            ancestors: Arc::from([Ancestor { key: parent, exe: who.parent.into() }]),
            elided: 0,
            roots: who.role.map(root).into_iter().collect(),
        };
        process
    }

    /// A child that this process starts.
    pub(super) fn child(&mut self, parent: &Process, exe: &str) -> Process {
        let who = Who { exe: "", unit: None, user: "", role: None, package: None, parent: "" };
        let mut child = self.process(&who);
        child.exe = exe.into();
        child.unit.clone_from(&parent.unit);
        child.user.clone_from(&parent.user);
        child.package = exe.starts_with("/usr").then(|| "some-package".into());
        let above = Ancestor { key: parent.key, exe: parent.exe.clone() };
        child.lineage.ancestors = std::iter::once(above).chain(parent.lineage.ancestors.iter().cloned()).collect();
        child.lineage.roots = Arc::clone(&parent.lineage.roots);
        child
    }

    pub(super) fn event(&mut self, kind: EventKind, process: Option<&Process>) -> Vec<Deviation> {
        let id = EventId(self.next_event);
        self.next_event += 1;
        let at = Timestamp::from_timestamp(self.now, 0).unwrap();
        let source = if process.is_some() || matches!(kind, EventKind::Loss { .. }) { Source::Ebpf } else { Source::Logs };
        let event = Event { id, at, kind, process: process.cloned().map(Arc::new), source, complete: self.complete };
        let about = self.about;
        let found = self.baseline.observe(&event, &|| about);
        self.found.extend(found.iter().cloned().map(|one| (self.now, one)));
        found
    }

    pub(super) fn exec(&mut self, process: &Process) -> Vec<Deviation> {
        self.event(EventKind::Exec, Some(process))
    }

    fn exit(&mut self, process: &Process) {
        let exit = Exit { code: Some(0), signal: None };
        self.event(EventKind::Exit { exit }, Some(process));
    }

    pub(super) fn start(&mut self, who: &Who) -> Process {
        let process = self.process(who);
        self.exec(&process);
        process
    }

    pub(super) fn call(&mut self, process: &Process, dst: &str, dport: u16, name: Option<&str>) -> Vec<Deviation> {
        let net = flow(dst, dport, name);
        self.event(EventKind::Connect { net }, Some(process))
    }

    pub(super) fn sent(&mut self, process: &Process, dst: &str, sent: u64) -> Vec<Deviation> {
        let traffic = Traffic { sent, received: 900, milliseconds: None, inbound: false };
        self.event(EventKind::Close { net: flow(dst, 443, None), traffic }, Some(process))
    }

    pub(super) fn listen(&mut self, process: &Process, at: &str, port: u16) -> Vec<Deviation> {
        let net = Flow { proto: Protocol::Tcp, src: at.parse().unwrap(), sport: port, dst: None, dport: None, name: None };
        self.event(EventKind::Listen { net, unit: None }, Some(process))
    }

    pub(super) fn change(&mut self, process: &Process, path: &str) -> Vec<Deviation> {
        let file = FileChange::new(path.into(), FileChangeKind::Modified);
        self.event(EventKind::FileChange { file }, Some(process))
    }

    fn auth(user: &str, from: &str, (method, key): (&str, Option<&str>)) -> Login {
        let method = Some(method.to_owned());
        let line = LogLine { source: "journal".into(), offset: 0, text: HostText::default() };
        let (user, from, key) = (Some(user.into()), from.parse().ok(), key.map(HostText::from));
        Login { service: "sshd".to_owned(), user, from, method, key, attempts: 1, line }
    }

    pub(super) fn login(&mut self, user: &str, from: &str, key: Option<&str>) -> Vec<Deviation> {
        let method = if key.is_some() { "public-key" } else { "password" };
        self.event(EventKind::LoginAccepted { auth: Self::auth(user, from, (method, key)) }, None)
    }

    pub(super) fn login_by(&mut self, user: &str, from: &str, method: &str) -> Vec<Deviation> {
        self.event(EventKind::LoginAccepted { auth: Self::auth(user, from, (method, None)) }, None)
    }

    pub(super) fn login_fails(&mut self, user: &str, from: &str) {
        self.event(EventKind::LoginFailed { auth: Self::auth(user, from, ("password", None)) }, None);
    }

    /// The clock moves to this moment; silence is looked for every ten minutes on the way.
    pub(super) fn until(&mut self, at: i64) {
        while self.looked + 10 * MINUTE < at {
            self.looked += 10 * MINUTE;
            self.now = self.now.max(self.looked);
            let found = self.baseline.tick(Timestamp::from_timestamp(self.now, 0).unwrap(), &|_| true);
            self.found.extend(found.into_iter().map(|one| (self.now, one)));
        }
        self.now = self.now.max(at);
    }

    /// One day of ordinary life. `without_backup` leaves the backup out.
    pub(super) fn day(&mut self, without_backup: bool) {
        let midnight = START + (self.now - START).div_euclid(DAY) * DAY;
        let weekday = (midnight - START).div_euclid(DAY).rem_euclid(7);
        // Clocks go forward on the 30th of March 2025: what runs by local time comes an hour earlier in UTC.
        let summer = if midnight >= 1_743_292_800 { -HOUR } else { 0 };
        let mut plan: Vec<(i64, u8)> = Vec::new();
        plan.extend((0..288).map(|turn| (turn * 5 * MINUTE, 0))); // monitoring
        plan.extend((0..24).map(|hour| (hour * HOUR + 17 * MINUTE, 1))); // a job of cron
        let visits = if weekday < 5 { 600 } else { 250 };
        for _ in 0..visits {
            let busy = 7 * HOUR + i64::try_from(self.below(15 * 3600)).unwrap();
            plan.push((busy, 2));
        }
        if !without_backup {
            plan.push((2 * HOUR + 30 * MINUTE + summer, 3));
        }
        plan.push((4 * HOUR + self.around(2 * HOUR), 4)); // certbot
        plan.push((6 * HOUR + self.around(HOUR), 5)); // unattended upgrades
        let holiday = self.below(12) == 0;
        if weekday < 5 && !holiday {
            for _ in 0..1 + self.below(4) {
                plan.push((8 * HOUR + summer + i64::try_from(self.below(9 * 3600)).unwrap(), 6)); // an operator
            }
        }
        if weekday == 2 {
            plan.push((14 * HOUR, 7)); // a deployment
        }
        plan.extend((0..48).map(|turn| (turn * 30 * MINUTE + 9, 8))); // the shop's worker
        plan.sort_unstable();
        let (php, postgres, monitor) = (self.process(&PHP), self.process(&POSTGRES), self.process(&MONITOR));
        for (offset, what) in plan {
            self.until(midnight + offset);
            self.act(what, [&php, &postgres, &monitor]);
        }
        if self.below(20) == 0 {
            self.boot += 1;
            for who in [&PHP, &POSTGRES, &MONITOR, &APP] {
                self.start(who);
            }
        }
        self.until(midnight + DAY);
    }

    fn act(&mut self, what: u8, [php, postgres, monitor]: [&Process; 3]) {
        match what {
            0 => drop(self.call(monitor, "95.216.10.4", 443, Some("metrics.example.net"))),
            1 => {
                let job = self.start(&CRON_JOB);
                self.call(&job, "127.0.0.1", 5432, None);
                if self.below(3) == 0 {
                    self.call(&job, "54.187.1.9", 443, Some("api.payments.example"));
                }
                self.exit(&job);
            }
            2 => {
                self.call(php, "127.0.0.1", 5432, None);
                if self.below(20) == 0 {
                    let last = 10 + self.below(40);
                    self.call(php, &format!("54.187.1.{last}"), 443, Some("api.payments.example"));
                }
                let bytes = 2_000 + self.below(60_000);
                self.sent(php, "203.0.112.9", bytes);
                self.sent(postgres, "127.0.0.1", 4_000);
            }
            3 => {
                let backup = self.start(&BACKUP);
                self.call(&backup, "65.108.3.2", 22, Some("u1.backup.example"));
                let bytes = (150 + self.below(100)) << 20;
                self.sent(&backup, "65.108.3.2", bytes);
                self.exit(&backup);
            }
            4 => {
                let certbot = self.start(&CERTBOT);
                self.call(&certbot, "172.65.32.248", 443, Some("acme-v02.api.letsencrypt.org"));
                self.exit(&certbot);
            }
            5 => self.upgrade(),
            6 => self.operator(),
            7 => {
                self.deployed = self.deployed.wrapping_add(1);
                self.start(&APP);
            }
            _ => {
                let app = self.process(&APP);
                self.call(&app, "127.0.0.1", 5432, None);
                self.call(&app, "127.0.0.1", 6379, None);
            }
        }
    }

    fn upgrade(&mut self) {
        let apt = Who {
            exe: "/usr/bin/apt-get",
            unit: Some("apt-daily-upgrade.service"),
            user: "root",
            role: Some((ServiceRole::PackageManager, "/usr/bin/apt-get")),
            package: Some("apt"),
            parent: "/usr/bin/dash",
        };
        let before = self.about;
        self.about = Circumstances { installing: true, ..before };
        let apt = self.start(&apt);
        let mirror = self.below(200);
        self.call(&apt, &format!("151.101.{mirror}.132"), 80, Some("deb.debian.org"));
        for _ in 0..self.below(6) {
            let number = self.below(40);
            let script = self.child(&apt, &format!("/var/lib/dpkg/info/package{number}.postinst"));
            self.exec(&script);
            self.change(&script, &format!("/etc/package{number}/package.conf"));
        }
        self.about = before;
    }

    fn operator(&mut self) {
        let home = ["91.12.44.7", "91.12.44.90", "80.187.100.3"];
        let from = home[usize::try_from(self.below(3)).unwrap()];
        self.login("ann", from, Some("ED25519 SHA256:ann"));
        let shell = Who {
            exe: "/usr/bin/bash",
            unit: Some("session-12.scope"),
            user: "ann",
            role: Some((ServiceRole::LoginSession, "/usr/sbin/sshd")),
            package: Some("bash"),
            parent: "/usr/sbin/sshd",
        };
        let shell = self.start(&shell);
        for _ in 0..self.below(12) {
            let number = self.below(300);
            let tool = self.child(&shell, &format!("/usr/bin/tool{number}"));
            self.exec(&tool);
            if number < 30 {
                self.call(&tool, &format!("140.82.{number}.3"), 443, None);
            }
        }
    }

    /// So many days of ordinary life.
    pub(super) fn days(&mut self, count: u32) {
        (0..count).for_each(|_| self.day(false));
    }
}

pub(super) fn flow(dst: &str, dport: u16, name: Option<&str>) -> Flow {
    Flow {
        proto: Protocol::Tcp,
        src: [10, 0, 0, 5].into(),
        sport: 40_000,
        dst: dst.parse().ok(),
        dport: Some(dport),
        name: name.map(HostText::from),
    }
}
