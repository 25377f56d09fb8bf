//! YAML anchors and aliases, found before a parser follows them: text split into tokens as libyaml splits it.

/// Deepest nesting of YAML's own brackets.
const MAX_FLOW: usize = 48;

/// What is wrong with this text: an anchor (`&name`), an alias (`*name`), or brackets too deep.
///
/// What stands in quotes, comments, block scalars or within a plain word is text.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut scan = Scan { flow: 0, quote: None, block: None, plain: false, indents: Vec::new() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).try_for_each(|line| scan.line(&line.chars().collect::<Vec<_>>()))
}

/// Where the text stands at the begin of a line. A column is -1 outside all collections.
struct Scan {
    /// Open brackets of YAML.
    flow: usize,
    /// The quote that is open.
    quote: Option<char>,
    /// The block scalar that is open.
    block: Option<Block>,
    /// Whether the last line ended in a plain word, which may go on.
    plain: bool,
    /// Columns of the block collections that are open.
    indents: Vec<isize>,
}

/// A block scalar (`|`, `>`).
struct Block {
    /// Column of its text, as soon as it is known.
    column: Option<isize>,
    /// The least that it can be.
    least: isize,
}

fn is_blank(at: Option<&char>) -> bool {
    at.is_none_or(|c| matches!(c, ' ' | '\t'))
}

impl Scan {
    fn indent(&self) -> isize {
        self.indents.last().copied().unwrap_or(-1)
    }

    fn line(&mut self, line: &[char]) -> Result<(), String> {
        if self.quote.is_some() {
            let Some(at) = self.quoted(line, 0) else { return Ok(()) };
            return self.tokens(line, at, false);
        }
        if self.is_text_of_block(line) {
            return Ok(());
        }
        let marker = line.starts_with(&['-'; 3]) || line.starts_with(&['.'; 3]);
        if marker && is_blank(line.get(3)) {
            (self.plain, self.indents) = (false, Vec::new());
            return self.tokens(line, 3, false);
        }
        let Some(first) = line.iter().position(|c| !matches!(c, ' ' | '\t')) else { return Ok(()) };
        let column = first.cast_signed();
        let goes_on = self.plain && line.get(first) != Some(&'#') && (self.flow > 0 || column > self.indent());
        if !goes_on && self.flow == 0 {
            self.indents.retain(|open| *open <= column);
        }
        if !goes_on && line.first() == Some(&'%') {
            return Ok(()); // a directive
        }
        self.tokens(line, first, goes_on)
    }

    /// Whether this line is text of a block scalar; the first that is not ends it.
    fn is_text_of_block(&mut self, line: &[char]) -> bool {
        let Some(block) = &mut self.block else { return false };
        let spaces = line.iter().take_while(|c| **c == ' ').count();
        let column = spaces.cast_signed();
        if spaces == line.len() {
            block.least = block.least.max(column);
            return true;
        }
        if column >= *block.column.get_or_insert(block.least.max(column)) {
            return true;
        }
        self.block = None;
        false
    }

    /// The rest of a line from `at`; `plain`: it begins within a plain word.
    fn tokens(&mut self, line: &[char], mut at: usize, mut plain: bool) -> Result<(), String> {
        // Column of what becomes a key when a colon follows it.
        let mut key: Option<usize> = None;
        self.plain = false;
        while let Some(&c) = line.get(at) {
            let next = line.get(at + 1);
            let apart = at == 0 || is_blank(line.get(at - 1));
            if is_blank(Some(&c)) {
                at += 1;
                continue;
            }
            if c == '#' && (!plain || apart) {
                return Ok(());
            }
            if plain && !self.ends_word(c, next) {
                at += 1;
                continue;
            }
            plain = false;
            match c {
                '&' | '*' if !is_blank(next) => {
                    return Err(format!(
                        "it has a YAML anchor or alias ({c}name), which could multiply without bound: put quotes around a value that begins with {c}"
                    ));
                }
                '[' | '{' => {
                    key = key.or(Some(at));
                    self.flow += 1;
                    if self.flow > MAX_FLOW {
                        return Err(format!("brackets are nested deeper than {MAX_FLOW}"));
                    }
                }
                ']' | '}' => self.flow = self.flow.saturating_sub(1),
                '-' if is_blank(next) => self.enter(at),
                '?' if self.flow > 0 || is_blank(next) => self.enter(at),
                ':' if self.flow > 0 || is_blank(next) => self.enter(key.take().unwrap_or(at)),
                '!' => {
                    key = key.or(Some(at));
                    let end = |c: &char| is_blank(Some(c)) || matches!(c, ',' | '[' | ']' | '{' | '}');
                    at += 1 + line.iter().skip(at + 1).take_while(|c| !end(c)).count();
                    continue;
                }
                '|' | '>' if self.flow == 0 => {
                    self.open_block(line.get(at + 1..).unwrap_or_default());
                    return Ok(());
                }
                '\'' | '"' => {
                    key = key.or(Some(at));
                    self.quote = Some(c);
                    let Some(behind) = self.quoted(line, at + 1) else { return Ok(()) };
                    at = behind;
                    continue;
                }
                ',' | '&' | '*' => {}
                _ => {
                    key = key.or(Some(at));
                    plain = true;
                }
            }
            at += 1;
        }
        self.plain = plain;
        Ok(())
    }

    /// Whether a plain word ends before this.
    fn ends_word(&self, c: char, next: Option<&char>) -> bool {
        let bracket = |c: &char| matches!(c, ',' | '[' | ']' | '{' | '}');
        let value = c == ':' && (is_blank(next) || (self.flow > 0 && next.is_some_and(|next| bracket(next) || *next == '?')));
        value || (self.flow > 0 && bracket(&c))
    }

    /// A block collection that begins or goes on at this column.
    fn enter(&mut self, column: usize) {
        let column = column.cast_signed();
        if self.flow == 0 && column > self.indent() {
            self.indents.push(column);
        }
    }

    fn open_block(&mut self, header: &[char]) {
        let digit = header.iter().take_while(|c| !is_blank(Some(c))).find_map(|c| c.to_digit(10));
        let outside = self.indent();
        let column = digit.map(|digit| outside.max(0) + isize::try_from(digit).unwrap_or(1));
        self.block = Some(Block { column, least: (outside + 1).max(1) });
    }

    /// Where the open quote has ended, if on this line.
    fn quoted(&mut self, line: &[char], mut at: usize) -> Option<usize> {
        let quote = self.quote?;
        while let Some(&c) = line.get(at) {
            let doubled = c == quote && quote == '\'' && line.get(at + 1) == Some(&quote);
            if doubled || (c == '\\' && quote == '"') {
                at += 1;
            } else if c == quote {
                self.quote = None;
                return Some(at + 1);
            }
            at += 1;
        }
        None
    }
}
