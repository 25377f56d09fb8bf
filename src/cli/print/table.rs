//! Columns that line up.

use std::io::{self, Write};

/// Writes rows under a heading; every column but the last is as wide as its widest cell.
pub(in crate::cli) fn write<const N: usize>(out: &mut impl Write, heading: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let heading = heading.map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let mut widths = [0usize; N];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in all() {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            line.push_str(cell);
            if at + 1 < N {
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let mut out = Vec::new();
        super::write(&mut out, ["ID", "WHAT"], &[["A1".into(), "x".into()], ["A100".into(), "y".into()]]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "ID    WHAT\nA1    x\nA100  y\n");
    }
}
