//! The YARA rules that the program carries: `config/rules/yara/`.

/// File and text.
pub(super) const FILES: [(&str, &str); 4] = [
    ("miners.yar", include_str!("../../../../config/rules/yara/miners.yar")),
    ("reverse_shells.yar", include_str!("../../../../config/rules/yara/reverse_shells.yar")),
    ("rootkits.yar", include_str!("../../../../config/rules/yara/rootkits.yar")),
    ("webshells.yar", include_str!("../../../../config/rules/yara/webshells.yar")),
];
