//! Figures: medians, ratios, and the table in which they are told.

/// Rows of the table: section, what, figure, and what is promised of it.
pub struct Table {
    rows: Vec<[String; 4]>,
    section: &'static str,
}

impl Table {
    pub fn new() -> Self {
        Self { rows: Vec::new(), section: "" }
    }

    pub fn section(&mut self, name: &'static str) {
        self.section = name;
    }

    /// Adds a figure; `promise` is empty where nothing is promised. It is told at once too: a run takes minutes.
    pub fn row(&mut self, what: &str, figure: impl Into<String>, promise: &str) {
        let row = [self.section.to_owned(), what.to_owned(), figure.into(), promise.to_owned()];
        eprintln!("    {}: {} {}", row[1], row[2], if promise.is_empty() { String::new() } else { format!("(promised {promise})") });
        self.rows.push(row);
    }

    pub fn print(&self) {
        let head = ["section", "what", "measured", "promised"].map(str::to_owned);
        let width = |column: usize| self.rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        for row in [&head].into_iter().chain(&self.rows) {
            let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("{}", line.join("  ").trim_end());
        }
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    if values.is_empty() { f64::NAN } else { values[values.len() / 2] }
}

/// `1.07 [0.99-1.16]`: the median of the ratios of runs that followed each other, and the range.
pub fn ratio(with: &[f64], without: &[f64]) -> String {
    let ratios: Vec<f64> = with.iter().zip(without).map(|(with, without)| with / without).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), ratio| (least.min(*ratio), most.max(*ratio)));
    format!("{:.2} [{least:.2}-{most:.2}]", median(ratios))
}

/// Percent that cannot be rounded up to 100.
pub fn share(part: usize, whole: usize) -> String {
    format!("{:.2} %", (part as f64 / whole as f64 * 10_000.0).floor() / 100.0)
}
