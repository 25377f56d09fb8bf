//! The generated pages in `docs/reference/` are what the program would write today.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::path::Path;

#[test]
fn generated_references_are_fresh() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    for page in bartizan::cli::pages() {
        let file = dir.join(page.file);
        if std::env::var_os("BARTIZAN_WRITE_REFERENCES").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&file, &page.text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(found == page.text, "{} is stale: run BARTIZAN_WRITE_REFERENCES=1 cargo test --test references", file.display());
    }
}
