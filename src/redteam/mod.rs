//! The sparring partner: harmless real attacks in a sandbox.
