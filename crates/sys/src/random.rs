//! Random bytes from the kernel (getrandom(2)), for keys that live as long as the process.

use std::io;

/// 256 bits that nobody can guess.
///
/// # Errors
/// When the kernel has none to give.
pub fn key() -> io::Result<[u8; 32]> {
    let mut key = [0u8; 32];
    // SAFETY: the buffer is ours, writable, and as long as we say.
    let got = unsafe { libc::getrandom(key.as_mut_ptr().cast(), key.len(), 0) };
    match usize::try_from(got) {
        Ok(length) if length == key.len() => Ok(key),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
