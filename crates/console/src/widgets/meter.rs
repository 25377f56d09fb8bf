//! Numbers as pictures: a bar, a line of blocks.

use crate::paint::GlyphSet;

/// A bar of `cells`, in its full and its empty part.
pub(crate) fn meter(share: f64, cells: usize, glyphs: &GlyphSet) -> (String, String) {
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // 0 to a screen's width
    let full = (share * cells as f64).round() as usize;
    let [on, off] = glyphs.bar;
    (on.repeat(full), off.repeat(cells.saturating_sub(full)))
}

/// The last `cells` values as blocks, the highest of them full height.
pub(crate) fn sparkline<'a>(values: impl DoubleEndedIterator<Item = &'a u64> + Clone, cells: usize, glyphs: &GlyphSet) -> String {
    let shown: Vec<u64> = values.rev().take(cells).copied().collect();
    let top = shown.iter().copied().max().unwrap_or(0).max(1);
    shown.iter().rev().map(|value| glyphs.spark.get(usize::try_from(value * 7 / top).unwrap_or(0)).copied().unwrap_or(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::Paint;
    use bartizan_config::Theme;

    #[test]
    fn pictures_have_the_asked_width() {
        let glyphs = Paint::new(&Theme::named("mono").unwrap()).glyphs;
        let (full, empty) = meter(0.5, 8, &glyphs);
        assert_eq!((full.chars().count(), empty.chars().count()), (4, 4));
        assert_eq!(meter(f64::NAN, 3, &glyphs).0, "");
        assert_eq!(sparkline([0u64, 7, 14].iter(), 8, &glyphs), "▁▄█");
        assert_eq!(sparkline([1u64, 7, 14].iter(), 2, &glyphs).chars().count(), 2);
    }
}
