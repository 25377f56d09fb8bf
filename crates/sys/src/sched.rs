//! Scheduling: background threads that give way to the host's own work, real-time ones, and a heap that stays small.

use std::io;

/// Nice value of background threads (sched(7)): about a third of the weight of ordinary ones.
const ASIDE: libc::c_int = 5;

/// From now on the calling thread gives way to ordinary ones. A refusal changes nothing that matters.
pub fn background() {
    nice(ASIDE);
}

/// Of the calling thread, for Linux keeps priorities per thread (setpriority(2)).
fn nice(value: i32) {
    let _ = rustix::process::setpriority_process(None, value);
}

/// Nice value of work that nobody waits for: a tenth of the weight of ordinary threads. Less, and on a busy host it would
/// never be done.
const FAR_ASIDE: libc::c_int = 10;

/// From now on the calling thread gives way to nearly everything, and reads the disk only when nobody else does (the idle
/// class of ioprio_set(2)). A refusal changes nothing that matters.
pub fn step_far_aside() {
    // include/uapi/linux/ioprio.h: IOPRIO_WHO_PROCESS, IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT.
    const WHO_PROCESS: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    nice(FAR_ASIDE);
    // SAFETY: no pointers; 0 means the calling thread.
    let _ = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) };
}

/// Nice value of threads for which others wait: enough to be run at once when woken on a busy host.
const FORWARD: libc::c_int = -15;

/// Slice of such threads in nanoseconds, the shortest there is (Linux 6.12, kernel/sched/syscalls.c): a thread that wants
/// little is let in before the slice of the running one is over. Older kernels take no notice of it.
const SLICE: u64 = 100_000;

/// From now on the calling thread is run before ordinary ones. For threads that sleep nearly always; without the right
/// (CAP_SYS_NICE) it stays as it is.
pub fn step_forward() {
    ask(FORWARD, SLICE);
}

/// Does this before everything but real-time work of the same kind (SCHED_RR at the lowest priority, sched(7)): a thread
/// with however good a nice value is made to wait a clock tick, 4 ms, as soon as it has had its share beside a busy one.
/// What it starts meanwhile is ordinary. Then the thread is as [`step_forward`] leaves it. Only for what is short and rare.
pub fn realtime<T>(work: impl FnOnce() -> T) -> T {
    let _refused_is_ordinary = real_time(libc::SCHED_RR, 1);
    let done = work();
    step_forward();
    done
}

/// Does this before ordinary threads have their turn, because others wait for it; then the thread is an ordinary one.
pub fn forward<T>(work: impl FnOnce() -> T) -> T {
    step_forward();
    let done = work();
    ask(0, 0);
    done
}

/// A slice of 0 is the kernel's own choice. A refusal leaves the thread as it is.
fn ask(nice: libc::c_int, slice: u64) {
    let mut attributes = attributes(libc::SCHED_OTHER);
    (attributes.sched_nice, attributes.sched_runtime) = (nice, slice);
    let _refused_is_ordinary = set(&attributes);
}

/// Gives the calling thread a real-time policy (SCHED_FIFO, SCHED_RR: sched(7)); what it starts meanwhile is ordinary.
///
/// # Errors
/// Without CAP_SYS_NICE.
pub(super) fn real_time(policy: libc::c_int, priority: u32) -> io::Result<()> {
    /// include/uapi/linux/sched.h, SCHED_FLAG_RESET_ON_FORK.
    const RESET_ON_FORK: u64 = 1;
    let mut attributes = attributes(policy);
    (attributes.sched_flags, attributes.sched_priority) = (RESET_ON_FORK, priority);
    set(&attributes)
}

/// Makes the calling thread an ordinary one again.
pub(super) fn ordinary() -> io::Result<()> {
    set(&attributes(libc::SCHED_OTHER))
}

fn attributes(policy: libc::c_int) -> libc::sched_attr {
    // SAFETY: a plain structure of integers, for which zeros are values.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    attributes.size = size_of::<libc::sched_attr>() as u32;
    attributes.sched_policy = policy as u32;
    attributes
}

/// By the system call itself: musl's own sched_setscheduler(3) only answers ENOSYS.
fn set(attributes: &libc::sched_attr) -> io::Result<()> {
    // SAFETY: the structure lives for the call and says its own size; 0 means the calling thread (sched_setattr(2)).
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(attributes), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps the C library from making a heap for each thread: fragments of many heaps add up (mallopt(3)). Called once,
/// before there are threads. Other C libraries have no such setting and need none.
pub fn keep_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; a refused setting changes nothing.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

#[cfg(test)]
pub(super) mod tests {
    /// The policy of the calling thread, by the system call: musl's own function only answers ENOSYS.
    pub(crate) fn policy() -> libc::c_int {
        // SAFETY: no pointers; 0 is the calling thread.
        let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) } as libc::c_int;
        policy & !libc::SCHED_RESET_ON_FORK
    }

    #[test]
    fn real_time_ends_and_is_not_inherited() {
        std::thread::spawn(move || {
            let (own, child) = super::realtime(|| (policy(), std::thread::spawn(policy).join().unwrap()));
            if own != libc::SCHED_RR {
                eprintln!("skipped: real-time scheduling is refused here");
            }
            assert_eq!((child, policy()), (libc::SCHED_OTHER, libc::SCHED_OTHER));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn only_the_calling_thread_steps_aside() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let aside = std::thread::spawn(move || {
            super::background();
            nice()
        });
        assert_eq!(aside.join().unwrap(), super::ASIDE.max(before));
        assert_eq!(nice(), before);
    }
}
