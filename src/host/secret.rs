//! Randomness that only this process knows.

use std::fs::File;
use std::io::{self, Read};

/// 32 bytes from the kernel's generator (random(4)); at start of an agent the pool is long since initialised.
///
/// # Errors
/// When /dev/urandom cannot be read.
pub fn random_key() -> io::Result<[u8; 32]> {
    let mut key = [0u8; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}
