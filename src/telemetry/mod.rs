//! Our own structured logs.
