//! For tests: a thread that is another user. Linux keeps credentials by thread (credentials(7)), so nobody else changes.

/// Runs `deed` as this user and group, without supplementary groups but `groups`. Needs root.
pub fn run_as<T: Send>(uid: u32, gid: u32, groups: &[u32], deed: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            // SAFETY: raw calls, so that the C library does not change every thread; the array lives through the call.
            unsafe {
                assert_eq!(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()), 0);
                assert_eq!(libc::syscall(libc::SYS_setresgid, gid, gid, gid), 0);
                assert_eq!(libc::syscall(libc::SYS_setresuid, uid, uid, uid), 0);
            }
            deed()
        });
        thread.join().unwrap()
    })
}
