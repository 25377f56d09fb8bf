//! Of a program's environment, the variables that change what it loads or runs; the rest may hold secrets and is not kept.

use bartizan_model::{HostText, Variable};

/// Most bytes of an environment that a sensor reads.
pub const MOST: usize = 4096;
/// Longest value kept.
const MAX_VALUE: usize = 512;
/// Most variables kept of one program.
const MAX_VARIABLES: usize = 16;

/// Hijacks of execution flow (ATT&CK T1574.006, T1574.007), of interpreters (T1546.004, T1059) and of history (T1562.003).
/// Sorted.
const NAMES: [&[u8]; 27] = [
    b"BASH_ENV", b"CLASSPATH", b"ENV", b"GCONV_PATH", b"GIT_SSH_COMMAND", b"GLIBC_TUNABLES", b"HISTCONTROL", b"HISTFILE", b"HISTSIZE",
    b"JAVA_TOOL_OPTIONS", b"LD_AUDIT", b"LD_LIBRARY_PATH", b"LD_PRELOAD", b"LD_PROFILE", b"MALLOC_CHECK_", b"NODE_OPTIONS", b"PERL5DB",
    b"PERL5LIB", b"PERL5OPT", b"PROMPT_COMMAND", b"PYTHONHOME", b"PYTHONPATH", b"PYTHONSTARTUP", b"RUBYLIB", b"RUBYOPT", b"ZDOTDIR",
    b"_JAVA_OPTIONS",
];

/// The variables that matter in an environment as the kernel keeps it: `NAME=VALUE` strings that each end with NUL.
pub fn notable(area: &[u8]) -> Vec<Variable> {
    let pairs = area.split(|byte| *byte == 0).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        let function = name.starts_with(b"BASH_FUNC_"); // a function that bash defines before it runs anything
        (function || NAMES.binary_search(&name).is_ok()).then(|| Variable {
            name: HostText::from(name.get(..64).unwrap_or(name)),
            value: HostText::from(value.get(..MAX_VALUE).unwrap_or(value)),
        })
    });
    pairs.take(MAX_VARIABLES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_left_and_hijacks_are_kept() {
        assert!(NAMES.is_sorted());
        let kept = notable(b"HOME=/root\0LD_PRELOAD=/tmp/x.so\0API_KEY=secret\0BASH_FUNC_ls%%=() { :; }\0LD_PRELOADX=no\0ENV=a=b\0cut");
        let kept: Vec<_> = kept.iter().map(|variable| (variable.name.escaped(), variable.value.escaped())).collect();
        let told = [("LD_PRELOAD", "/tmp/x.so"), ("BASH_FUNC_ls%%", "() { :; }"), ("ENV", "a=b")];
        assert_eq!(kept, told.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    proptest! {
        #[test]
        fn no_environment_is_too_much(area in prop::collection::vec(any::<u8>(), 0..MOST)) {
            prop_assert!(notable(&area).len() <= MAX_VARIABLES);
        }
    }
}
