//! `access_line` of crates/logs/tests/fuzz_targets, under libFuzzer.

#![no_main]

#[path = "../../crates/logs/tests/fuzz_targets/mod.rs"]
#[allow(dead_code)]
mod fuzz_targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::access_line(bytes));
