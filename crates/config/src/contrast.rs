//! Whether a theme can be read: the contrast of every kind of text with each ground that it stands on (WCAG 2.1, 1.4.3).

use super::theme::{Colour, Look, Theme};

/// Least contrast of text, level AA.
pub const LEAST: f64 = 4.5;

/// Text that is too faint on its ground.
#[derive(Debug, Clone, PartialEq)]
pub struct Faint {
    /// Which role, and on which ground: `muted on strip`.
    pub what: String,
    /// Its contrast, 1 to 21.
    pub contrast: f64,
}

impl Theme {
    /// Every text below [`LEAST`]. Colours of the terminal's own palette are not judged: nobody but the terminal knows them.
    /// Lines between things are no text.
    pub fn faint(&self) -> Vec<Faint> {
        let own = [
            ("base", self.base),
            ("muted", self.muted),
            ("title", self.title),
            ("accent", self.accent),
            ("selected", self.selected),
            ("strip", self.strip),
        ];
        let telling =
            [("good", self.good), ("notice", self.notice), ("warning", self.warning), ("danger", self.danger), ("critical", self.critical)];
        let mut pairs: Vec<(String, Look, Colour)> = Vec::new();
        for (name, look) in own.into_iter().chain(telling) {
            let ground = if look.bg == Colour::Default { self.base.bg } else { look.bg };
            pairs.push((name.to_owned(), look, ground));
        }
        // What says how bad something is keeps its colour on the row under the cursor and on the strip.
        for (name, look) in telling {
            pairs.push((format!("{name} on selected"), look, if look.bg == Colour::Default { self.selected.bg } else { look.bg }));
        }
        for (name, look) in telling.into_iter().chain([("muted", self.muted), ("title", self.title)]) {
            pairs.push((format!("{name} on strip"), look, self.strip.bg));
        }
        let judged = pairs.into_iter().filter_map(|(what, look, ground)| Some(Faint { what, contrast: contrast(look.fg, ground)? }));
        judged.filter(|pair| pair.contrast < LEAST).collect()
    }
}

/// The contrast of two colours, when both are known.
fn contrast(one: Colour, other: Colour) -> Option<f64> {
    let (one, other) = (luminance(one)?, luminance(other)?);
    Some((one.max(other) + 0.05) / (one.min(other) + 0.05))
}

fn luminance(colour: Colour) -> Option<f64> {
    let Colour::Rgb(r, g, b) = colour else { return None };
    let [r, g, b] = [r, g, b].map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    Some(0.2126 * r + 0.7152 * g + 0.0722 * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_theme_can_be_read() {
        for name in Theme::names() {
            assert_eq!(Theme::named(name).unwrap().faint(), [], "{name}");
        }
    }

    #[test]
    fn faint_text_is_named_with_its_contrast() {
        let black_on_white = contrast(Colour::Rgb(0, 0, 0), Colour::Rgb(255, 255, 255)).unwrap();
        assert!((black_on_white - 21.0).abs() < 1e-9);
        let mut theme = Theme::named("dark").unwrap();
        theme.muted.fg = Colour::Rgb(0x6c, 0x78, 0x89);
        let faint: Vec<_> = theme.faint().into_iter().map(|pair| pair.what).collect();
        assert_eq!(faint, ["muted", "muted on strip"]);
        theme.warning.fg = theme.selected.bg;
        assert!(theme.faint().iter().any(|pair| pair.what == "warning on selected" && (pair.contrast - 1.0).abs() < 1e-9));
    }
}
