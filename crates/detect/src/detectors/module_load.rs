//! A kernel module is loaded from an unusual place, or by something that grew from a service.

use bartizan_model::{Entity, Event, EventKind, Family, HostText, PrivilegeKind, Process, ServiceRole, Severity, Stage, Tier};

use super::context::{in_system_dir, in_writable_dir, program};
use super::kinship::{by_package_manager, by_person, clip, grown_from, named, named_root, network_facing, path, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "module_load",
    title: "Kernel module loaded in an unusual way",
    technique: &["T1547.006", "T1014"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.8,
    meaning: "A kernel module came from a place outside of the system's own modules, or was loaded by something that grew from a service: code in the kernel can hide everything, this guard's sensors first.",
    false_positives: "Drivers that an administrator builds and tries by hand; vendors' agents that load a driver from /opt; container networks and VPN servers that run modprobe (rated low).",
    quiet: "Modules that lie in /lib/modules and are loaded by udev, systemd, the kernel itself, a package manager or a person are not counted. Install a driver there (dkms).",
};

/// Programs that load what their arguments name.
const TOOLS: [&str; 4] = ["kmod", "modprobe", "insmod", "busybox"];
/// Beside the places where anybody may write: names of open files and memory, homes of running sessions.
const UNSTEADY_DIRS: [&str; 3] = ["/proc/", "/dev/", "/run/user/"];

pub(super) struct ModuleLoad;

impl Detector for ModuleLoad {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, context: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::PrivilegeUse { privilege }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        if privilege.what != PrivilegeKind::ModuleLoad || by_package_manager(process) {
            return None;
        }
        let origin = origin(process, context);
        let service = grown_from(process).or_else(|| network_facing(process));
        let (severity, confidence) = rating(process, &origin, service.map(|service| service.role))?;
        let module = privilege.detail.as_ref().map(|name| format!(" {}", clip(&name.escaped(), 60))).unwrap_or_default();
        let below = service.map(|service| format!(", below {}", named_root(service))).unwrap_or_default();
        let inside = process.container.as_ref().filter(|_| service.is_none()).map_or("", |_| ", inside a container");
        let said = format!("{} loads the kernel module{module}{}{below}{inside}", named(process), origin.said());
        let detection = Detection::new(said).rated(severity, confidence).on(subject(process));
        Some(match origin {
            Origin::Usual => detection,
            Origin::Elsewhere(file) | Origin::Writable(file) => detection.about(Entity::File(file)),
        })
    }
}

/// Where the module comes from, as far as the loader's words say.
#[derive(Debug, PartialEq)]
enum Origin {
    /// From the system's own modules, loaded by the system's own tools.
    Usual,
    /// From this file, or by this program, neither the system's own nor anybody's to write.
    Elsewhere(HostText),
    /// The same where anybody may write, from memory or from a removed file.
    Writable(HostText),
}

impl Origin {
    fn said(&self) -> String {
        match self {
            Self::Usual => String::new(),
            Self::Elsewhere(file) => format!(" by way of {}", path(file)),
            Self::Writable(file) => format!(" by way of {}, where anybody may write", path(file)),
        }
    }
}

fn origin(process: &Process, context: &DetectorContext<'_>) -> Origin {
    let own_place = in_system_dir(&process.exe) && !process.exe_file.memfd && !process.exe_file.deleted;
    let tool = own_place && TOOLS.contains(&program(&process.exe).as_str());
    match module_file(process).filter(|_| tool) {
        Some(file) if anybody_writes(&file) => Origin::Writable(file),
        Some(file) if in_system_dir(&file) => Origin::Usual,
        Some(file) => Origin::Elsewhere(file),
        None if process.exe_file.memfd || process.exe_file.deleted || in_writable_dir(&process.exe) => {
            Origin::Writable(process.exe.clone())
        }
        // A program that can be told to do anything was told to load this.
        None if tool || (own_place && !context.could_be_anything(&process.exe)) => Origin::Usual,
        None => Origin::Elsewhere(process.exe.clone()),
    }
}

/// Whether it lies where anybody may write, or is such a place itself.
fn anybody_writes(file: &HostText) -> bool {
    let inside = HostText::from([file.as_bytes(), b"/"].concat());
    in_writable_dir(&inside) || UNSTEADY_DIRS.iter().any(|dir| inside.starts_with(dir))
}

/// The file or directory that the arguments name, if they name one instead of a module.
fn module_file(process: &Process) -> Option<HostText> {
    let is_file = |word: &&[u8]| {
        let whole = |end: &[u8]| word.ends_with(end);
        word.contains(&b'/') || whole(b".ko") || whole(b".ko.gz") || whole(b".ko.xz") || whole(b".ko.zst")
    };
    let words = process.argv.iter().skip(1).map(HostText::as_bytes);
    // `--dirname=/x` names a place, `firmware=/x` is the module's own affair.
    let values = words.filter_map(|word| match word.iter().position(|byte| *byte == b'=') {
        Some(at) if word.starts_with(b"--") => word.get(at + 1..),
        Some(_) => None,
        None => Some(word),
    });
    values.into_iter().find(is_file).map(|word| absolute(process.cwd.as_bytes(), word))
}

/// The path without `.` and `..`, as far as that can be said without looking at the disk.
fn absolute(cwd: &[u8], file: &[u8]) -> HostText {
    let whole = if file.starts_with(b"/") { file.to_vec() } else { [cwd, b"/", file].concat() };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in whole.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    HostText::from([b"/", parts.join(&b'/').as_slice()].concat())
}

/// How bad and how sure; `None` for what every host does each day.
fn rating(process: &Process, origin: &Origin, service: Option<ServiceRole>) -> Option<(Severity, f64)> {
    let usual = *origin == Origin::Usual;
    match service {
        // VPN servers, container networks and virtualisation load what they need by name.
        Some(ServiceRole::NetworkService) if usual => Some((Severity::Low, 0.3)),
        Some(_) if usual => Some((Severity::High, 0.75)),
        Some(_) => Some((Severity::Critical, 0.95)),
        None if process.container.is_some() => Some(if usual { (Severity::Low, 0.3) } else { (INFO.severity, INFO.confidence) }),
        None => match origin {
            Origin::Usual => None,
            Origin::Elsewhere(_) => Some(if by_person(process) { (Severity::Low, 0.3) } else { (Severity::Medium, 0.5) }),
            Origin::Writable(_) => Some(if by_person(process) { (Severity::Medium, 0.5) } else { (INFO.severity, INFO.confidence) }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;
    use bartizan_model::{Privilege, Signal};

    fn load(scene: &mut Scene, process: &Process) -> Vec<Signal> {
        let privilege = Privilege { detail: Some("evil".into()), ..Privilege::new(PrivilegeKind::ModuleLoad) };
        scene.see(Some(process), EventKind::PrivilegeUse { privilege })
    }

    #[test]
    fn what_every_host_does_each_day_is_quiet() {
        let mut scene = Scene::new();
        let login = scene.login();
        let apt = scene.daemon("/usr/bin/apt-get install x");
        let dockerd = scene.daemon("/usr/bin/dockerd");
        let quiet = [
            scene.init(),
            scene.daemon("/usr/lib/systemd/systemd-udevd"),
            scene.daemon("/usr/bin/udevadm"),
            scene.daemon("/usr/lib/systemd/systemd-modules-load"),
            scene.daemon("/usr/bin/kmod -q -- net-pf-10"),
            scene.child(&login, "/usr/bin/kmod wireguard"),
            scene.child(&login, "/usr/bin/kmod /lib/modules/6.1.0/kernel/drivers/net/dummy.ko"),
            scene.child(&login, "/bin/busybox modprobe loop max_loop=64"),
            scene.child(&apt, "/usr/bin/kmod zfs"),
            scene.child(&dockerd, "/usr/bin/kmod -va bridge nf_nat br_netfilter"),
        ];
        for process in quiet {
            assert_eq!(names(&load(&mut scene, &process)), [""; 0], "{}", process.command());
        }
    }

    #[test]
    fn what_comes_from_where_anybody_may_write_is_told_in_every_spelling() {
        let mut scene = Scene::new();
        let cron = scene.daemon("/usr/sbin/cron");
        for line in [
            "/usr/bin/kmod /tmp/evil.ko",
            "/usr/bin/kmod /usr/lib/../../tmp/evil.ko",
            "/usr/bin/kmod -d /dev/shm/x evil",
            "/usr/bin/kmod --dirname=/var/tmp evil",
            "/usr/bin/kmod /proc/self/fd/3",
            "/bin/busybox insmod /tmp/evil.ko p=/lib/x",
            "/tmp/insmod /lib/modules/evil.ko",
        ] {
            let loader = scene.child(&cron, line);
            let signals = load(&mut scene, &loader);
            let signal = by(&signals, "module_load");
            assert_eq!((signal.severity, signal.confidence.get()), (Severity::High, 0.8), "{line}: {}", signal.sentence);
        }
        let mut beside = scene.child(&cron, "/usr/bin/kmod evil.ko");
        beside.cwd = "/tmp".into();
        let signals = load(&mut scene, &beside);
        let expected = format!("kmod (pid {}) loads the kernel module evil by way of /tmp/evil.ko, where anybody may write", beside.pid);
        assert_eq!(by(&signals, "module_load").sentence, expected);
    }

    #[test]
    fn who_loads_it_decides_how_sure() {
        let mut scene = Scene::new();
        let (nginx, vpn, login) = (scene.daemon("/usr/sbin/nginx"), scene.daemon("/usr/bin/zabbix_agentd"), scene.login());
        let mut boxed = scene.daemon("/usr/bin/kmod ip_vs");
        boxed.container = Some("0123456789ab".into());
        let cases = [
            (scene.child(&nginx, "/usr/bin/kmod dummy"), Severity::High, 0.75),
            (scene.child(&nginx, "/usr/bin/kmod /root/evil.ko"), Severity::Critical, 0.95),
            (scene.child(&vpn, "/usr/bin/kmod tun"), Severity::Low, 0.3),
            (scene.child(&vpn, "/usr/bin/kmod /opt/evil.ko"), Severity::Critical, 0.95),
            (boxed, Severity::Low, 0.3),
            (scene.child(&login, "/usr/bin/kmod /home/anna/driver.ko"), Severity::Low, 0.3),
            (scene.child(&login, "/usr/bin/kmod /tmp/driver.ko"), Severity::Medium, 0.5),
            (scene.daemon("/usr/bin/python3 loader.py"), Severity::Medium, 0.5),
            (scene.daemon("/opt/vendor/agent"), Severity::Medium, 0.5),
        ];
        for (process, severity, confidence) in cases {
            let signals = load(&mut scene, &process);
            let signal = by(&signals, "module_load");
            assert_eq!((signal.severity, signal.confidence.get()), (severity, confidence), "{}", signal.sentence);
        }
        let shell = scene.child(&nginx, "/bin/sh -c \"insmod /tmp/x.ko\"");
        let insmod = scene.child(&shell, "/usr/bin/kmod /tmp/x.ko");
        let signals = load(&mut scene, &insmod);
        assert_eq!(by(&signals, "module_load").subject, Some(shell.key));
        assert!(by(&signals, "module_load").sentence.ends_with(&format!("below nginx (pid {})", nginx.pid)));
    }
}
