//! How the console looks: colours by meaning, from a TOML file; no colour and no Unicode when the terminal has none.

use serde::Deserialize;

/// A colour as a theme writes it: `"#1a2b3c"`, `"red"`, `"light-red"`, `"default"`, or a number from 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// What the terminal has.
    #[default]
    Default,
    /// One of the terminal's palette; 0 to 15 are the sixteen named ones.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

const SIXTEEN: [&str; 16] = [
    "black", "red", "green", "yellow", "blue", "magenta", "cyan", "gray", "dark-gray", "light-red", "light-green", "light-yellow",
    "light-blue", "light-magenta", "light-cyan", "white",
];

impl Colour {
    /// The nearest of the 256 colours; the cube has the steps 0, 95, 135, 175, 215, 255, the greys go from 8 in steps of 10.
    fn nearest(self) -> Self {
        let Self::Rgb(r, g, b) = self else { return self };
        let distance = |other: [u8; 3]| [r, g, b].into_iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>();
        let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
        let cube = (0..216u8).map(|n| (16 + n, [step(n / 36), step(n / 6 % 6), step(n % 6)]));
        let greys = (0..24u8).map(|n| (232 + n, [8 + 10 * n; 3]));
        cube.chain(greys).min_by_key(|(_, other)| distance(*other)).map_or(self, |(index, _)| Self::Indexed(index))
    }
}

impl TryFrom<String> for Colour {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self::Default);
        }
        if let Some(at) = SIXTEEN.iter().position(|name| *name == text) {
            return Ok(Self::Indexed(u8::try_from(at).unwrap_or(0)));
        }
        if let Ok(index) = text.parse() {
            return Ok(Self::Indexed(index));
        }
        let hex = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let [_, r, g, b] = value
            .map(u32::to_be_bytes)
            .ok_or_else(|| format!("\"{text}\" is not a colour: write #rrggbb, 0 to 255, default, or one of {}", SIXTEEN.join(", ")))?;
        Ok(Self::Rgb(r, g, b))
    }
}

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// How one kind of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // as every terminal names them
pub struct Look {
    pub fg: Colour,
    pub bg: Colour,
    pub bold: bool,
    pub dim: bool,
    pub underline: bool,
    pub reverse: bool,
}

/// Which characters may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// Box drawing, blocks, arrows.
    #[default]
    Unicode,
    /// 7 bits, for consoles and locales without UTF-8.
    Ascii,
}

impl Glyphs {
    /// Unicode when the locale says UTF-8 (LC_ALL, then LC_CTYPE, then LANG: locale(7)) and nobody asked for ASCII.
    pub fn choose(ascii_asked: bool, lc_all: Option<&str>, lc_ctype: Option<&str>, lang: Option<&str>) -> Self {
        let locale =
            [lc_all, lc_ctype, lang].into_iter().flatten().find(|value| !value.is_empty()).unwrap_or_default().to_ascii_lowercase();
        if !ascii_asked && (locale.contains("utf-8") || locale.contains("utf8")) { Self::Unicode } else { Self::Ascii }
    }
}

/// A theme: colours by meaning.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// For whom, in one line.
    pub about: String,
    /// Plain text and the ground of the screen.
    pub base: Look,
    /// What may be overlooked: labels, old things.
    pub muted: Look,
    /// Titles of panels, names of columns.
    pub title: Look,
    /// Lines between things.
    pub border: Look,
    /// What may be pressed, what is being followed.
    pub accent: Look,
    /// The row under the cursor.
    pub selected: Look,
    /// The strip at the top.
    pub strip: Look,
    /// As it should be.
    pub good: Look,
    /// Worth a look.
    pub notice: Look,
    /// Not as it should be.
    pub warning: Look,
    /// Bad.
    pub danger: Look,
    /// An intrusion unless explained.
    pub critical: Look,
    /// Which characters may be drawn; not from the file.
    #[serde(skip)]
    pub glyphs: Glyphs,
}

/// A theme that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ThemeError {
    /// Which file or theme.
    pub file: String,
    /// What is wrong and what to write.
    pub problem: String,
}

/// The built-in themes, by name.
const BUILT_IN: [(&str, &str); 6] = [
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../../themes/colour-blind.toml")),
    ("sixteen", include_str!("../../../themes/sixteen.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

impl Theme {
    /// Names of the built-in themes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Reads a theme; `file` is named in errors.
    ///
    /// # Errors
    /// [`ThemeError`] for unknown keys, missing ones and colours that do not exist.
    pub fn parse(text: &str, file: &str) -> Result<Self, ThemeError> {
        toml::from_str(text).map_err(|e| ThemeError { file: file.to_owned(), problem: e.to_string() })
    }

    /// A built-in theme.
    ///
    /// # Errors
    /// [`ThemeError`] naming those that exist.
    pub fn named(name: &str) -> Result<Self, ThemeError> {
        let unknown = || ThemeError {
            file: name.escape_debug().take(40).collect(),
            problem: format!("there is no such theme: use {}", Self::names().collect::<Vec<_>>().join(", ")),
        };
        let (name, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name).ok_or_else(unknown)?;
        Self::parse(text, &format!("themes/{name}.toml"))
    }

    /// The theme to use: the one asked for; else `mono` when NO_COLOR is set and not empty (no-color.org); else `dark` where
    /// the terminal has more than sixteen colours; else `sixteen`. Where it has no 24-bit colour, the nearest of its 256.
    ///
    /// # Errors
    /// As [`Theme::named`].
    pub fn choose(asked: Option<&str>, no_color: Option<&str>, colorterm: Option<&str>, term: Option<&str>) -> Result<Self, ThemeError> {
        let direct =
            colorterm.is_some_and(|value| matches!(value, "truecolor" | "24bit")) || term.is_some_and(|value| value.contains("direct"));
        let fallback = match (no_color, term) {
            (Some(set), _) if !set.is_empty() => "mono",
            (_, Some("dumb" | "vt100" | "vt220")) => "mono",
            _ if direct || term.is_some_and(|value| value.contains("256color")) => "dark",
            _ => "sixteen",
        };
        let theme = Self::named(asked.unwrap_or(fallback))?;
        Ok(if direct { theme } else { theme.in_256_colours() })
    }

    /// The same with every colour replaced by the nearest of xterm's cube and greys (16 to 255).
    #[must_use]
    pub fn in_256_colours(mut self) -> Self {
        let looks = [
            &mut self.base, &mut self.muted, &mut self.title, &mut self.border, &mut self.accent, &mut self.selected, &mut self.strip,
            &mut self.good, &mut self.notice, &mut self.warning, &mut self.danger, &mut self.critical,
        ];
        for look in looks {
            look.fg = look.fg.nearest();
            look.bg = look.bg.nearest();
        }
        self
    }

    /// The same with other characters.
    #[must_use]
    pub fn with_glyphs(mut self, glyphs: Glyphs) -> Self {
        self.glyphs = glyphs;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_themes_are_these_and_all_valid() {
        let names: Vec<_> = Theme::names().collect();
        assert_eq!(names, ["dark", "light", "high-contrast", "colour-blind", "sixteen", "mono"]);
        for name in names {
            assert_eq!(Theme::named(name).unwrap().name, name);
        }
    }

    #[test]
    fn no_color_means_no_colour() {
        let theme = Theme::choose(None, Some("1"), Some("truecolor"), Some("xterm")).unwrap();
        assert_eq!(theme.name, "mono");
        let looks = [
            theme.base, theme.muted, theme.title, theme.border, theme.accent, theme.selected, theme.strip, theme.good, theme.notice,
            theme.warning, theme.danger, theme.critical,
        ];
        assert!(looks.iter().all(|look| look.fg == Colour::Default && look.bg == Colour::Default));
        assert_eq!(Theme::choose(None, Some(""), Some("truecolor"), None).unwrap().name, "dark");
        assert_eq!(Theme::choose(Some("light"), Some("1"), None, None).unwrap().name, "light");
        assert_eq!(Theme::choose(None, None, None, Some("linux")).unwrap().name, "sixteen");
        let many = Theme::choose(None, None, None, Some("xterm-256color")).unwrap();
        assert!(many.name == "dark" && matches!(many.base.fg, Colour::Indexed(16..)));
        assert_eq!(Colour::Rgb(255, 0, 0).nearest(), Colour::Indexed(196));
    }

    #[test]
    fn a_colour_that_does_not_exist_is_named() {
        let text = include_str!("../../../themes/dark.toml").replacen("\"#", "\"$", 1);
        let error = Theme::parse(&text, "t.toml").unwrap_err().to_string();
        assert!(error.starts_with("t.toml: ") && error.contains("is not a colour"), "{error}");
    }

    #[test]
    fn ascii_where_the_locale_is_not_utf8() {
        assert_eq!(Glyphs::choose(false, None, None, Some("en_US.UTF-8")), Glyphs::Unicode);
        assert_eq!(Glyphs::choose(false, Some("C"), None, Some("en_US.UTF-8")), Glyphs::Ascii);
        assert_eq!(Glyphs::choose(false, None, None, None), Glyphs::Ascii);
        assert_eq!(Glyphs::choose(true, None, None, Some("en_US.UTF-8")), Glyphs::Ascii);
    }
}
