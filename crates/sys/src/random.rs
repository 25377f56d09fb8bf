//! Random bytes from the kernel (getrandom(2)), for keys that live as long as the process.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// 256 bits that nobody can guess.
///
/// # Errors
/// When the kernel has none to give.
pub fn key() -> io::Result<[u8; 32]> {
    let mut key = [0u8; 32];
    // As much as this is never cut short (getrandom(2)).
    match getrandom(key.as_mut_slice(), GetRandomFlags::empty())? {
        length if length == key.len() => Ok(key),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
