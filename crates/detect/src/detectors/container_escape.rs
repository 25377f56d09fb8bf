//! What runs in a container lays hands on the host: enters its namespaces, changes settings of its kernel, puts code into it.

use bartizan_model::{Event, EventKind, Family, Privilege, PrivilegeKind, Severity, Stage, Tier};

use super::kinship::{clip, named, subject};
use super::{Detection, Detector, DetectorContext, Info};

static INFO: Info = Info {
    name: "container_escape",
    title: "Container escape",
    technique: &["T1611"],
    family: Family::Auth,
    stage: Stage::Privilege,
    tier: Tier::Experimental,
    severity: Severity::High,
    confidence: 0.75,
    meaning: "A process in a container entered namespaces of the host, changed a setting of the host's kernel, or loaded a program into it: the container no longer confines it.",
    false_positives: "Privileged containers that manage their host: network and storage plugins, `nsenter -t 1` as a way to administer, init containers that set sysctls.",
    quiet: "Settings of a container's own network (`net.*`) are not counted, nor what the container runtime does while it starts one.",
};

/// Settings that name a program which the kernel runs as root on the host (proc_sys_kernel(5)).
const RUN_BY_KERNEL: [&[u8]; 4] = [b"kernel.core_pattern ", b"kernel.modprobe ", b"kernel.hotplug ", b"kernel.poweroff_cmd "];

pub(super) struct ContainerEscape;

impl Detector for ContainerEscape {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, _context: &DetectorContext<'_>) -> Option<Detection> {
        let (EventKind::PrivilegeUse { privilege }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let container = process.container.as_deref()?;
        let (did, severity, confidence) = judged(privilege)?;
        let name = process.container_name.as_ref().map_or_else(|| container.to_owned(), |name| clip(&name.escaped(), 60));
        let said = format!("{}, in the container {name}, {did}", named(process));
        Some(Detection::new(said).rated(severity, confidence).on(subject(process)))
    }
}

/// What it did to the host, how bad and how sure; `None` for what stays in the container.
fn judged(privilege: &Privilege) -> Option<(String, Severity, f64)> {
    let detail = privilege.detail.as_ref();
    let words = detail.map(|detail| clip(&detail.escaped(), 120)).unwrap_or_default();
    match privilege.what {
        PrivilegeKind::Namespace => {
            let homes: Vec<&str> = words.split(", ").filter_map(|name| name.strip_suffix(" (the host's)")).map(noun).collect();
            let certain = homes.iter().any(|home| *home != "network");
            let (severity, confidence) = if certain { (INFO.severity, INFO.confidence) } else { (Severity::Medium, 0.5) };
            (!homes.is_empty()).then(|| (format!("entered the host's {}", homes.join(", ")), severity, confidence))
        }
        PrivilegeKind::KernelSetting => {
            let detail = detail?.as_bytes();
            let (severity, confidence) = if RUN_BY_KERNEL.iter().any(|name| detail.starts_with(name)) {
                (Severity::Critical, 0.9)
            } else if detail.starts_with(b"net.") {
                return None;
            } else {
                (Severity::Medium, 0.5)
            };
            Some((format!("sets the host's {words}"), severity, confidence))
        }
        PrivilegeKind::Bpf => Some((format!("loads a program into the host's kernel ({words})"), Severity::Medium, 0.4)),
        // Modules have a detector of their own; the rest stays inside.
        PrivilegeKind::ModuleLoad
        | PrivilegeKind::Ptrace
        | PrivilegeKind::SetUid
        | PrivilegeKind::CapabilityGain
        | PrivilegeKind::Mount
        | PrivilegeKind::IoUring
        | PrivilegeKind::Kill
        | PrivilegeKind::FalseName => None,
    }
}

fn noun(namespace: &str) -> &str {
    match namespace {
        "mnt" => "mounts",
        "pid" => "processes",
        "user" => "users",
        "net" => "network",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, by, names};
    use super::*;
    use bartizan_model::{Process, Signal};

    fn does(scene: &mut Scene, process: &Process, what: PrivilegeKind, detail: &str) -> Vec<Signal> {
        let privilege = Privilege { detail: Some(detail.into()), ..Privilege::new(what) };
        scene.see(Some(process), EventKind::PrivilegeUse { privilege })
    }

    fn boxed(scene: &mut Scene, line: &str) -> Process {
        let mut process = scene.daemon(line);
        (process.container, process.container_name) = (Some("0123456789ab".into()), Some("shop".into()));
        process
    }

    #[test]
    fn whoever_leaves_a_container_is_told_with_what_it_reached() {
        let mut scene = Scene::new();
        let shell = boxed(&mut scene, "/bin/busybox sh");
        let cases = [
            (PrivilegeKind::Namespace, "mnt (the host's), pid (the host's)", Severity::High, 0.75, "entered the host's mounts, processes"),
            (PrivilegeKind::Namespace, "net (the host's)", Severity::Medium, 0.5, "entered the host's network"),
            (
                PrivilegeKind::KernelSetting,
                "kernel.core_pattern to |/x %p, was core",
                Severity::Critical,
                0.9,
                "sets the host's kernel.core_pattern",
            ),
            (PrivilegeKind::KernelSetting, "kernel.randomize_va_space to 0, was 2", Severity::Medium, 0.5, "sets the host's kernel.random"),
            (PrivilegeKind::Bpf, "kprobe x", Severity::Medium, 0.4, "loads a program into the host's kernel (kprobe x)"),
        ];
        for (what, detail, severity, confidence, words) in cases {
            let signals = does(&mut scene, &shell, what, detail);
            let signal = by(&signals, "container_escape");
            assert_eq!((signal.severity, signal.confidence.get()), (severity, confidence), "{}", signal.sentence);
            assert!(signal.sentence.contains(&format!("in the container shop, {words}")), "{}", signal.sentence);
        }
    }

    #[test]
    fn what_stays_in_a_container_and_what_the_host_does_itself_is_quiet() {
        let mut scene = Scene::new();
        let inside = boxed(&mut scene, "/usr/sbin/openvpn");
        let runc = scene.daemon("/usr/bin/runc init");
        let login = scene.login();
        let quiet = [
            (&inside, PrivilegeKind::Namespace, "mnt, pid, net"),
            (&inside, PrivilegeKind::KernelSetting, "net.ipv4.ip_forward to 1, was 0"),
            (&inside, PrivilegeKind::Mount, "/proc"),
            (&runc, PrivilegeKind::Namespace, "mnt (the host's)"),
            (&login, PrivilegeKind::KernelSetting, "kernel.core_pattern to core, was |/usr/lib/systemd-coredump"),
        ];
        for (process, what, detail) in quiet {
            assert_eq!(names(&does(&mut scene, process, what, detail)), [""; 0], "{detail}");
        }
    }
}
