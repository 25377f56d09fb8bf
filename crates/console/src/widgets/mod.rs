//! Things to paint with that know no word of our trade.

mod line;
mod lines;
mod meter;
mod panel;
mod spans;
mod table;
pub(crate) mod text;
mod tree;

pub(crate) use line::TextLine;
pub(crate) use lines::{Tone, TonedLine, draw_lines, draw_text, wrap_toned};
pub(crate) use meter::{meter, sparkline};
pub(crate) use panel::{popup, rule};
pub(crate) use spans::{Spans, draw_spans, spans_width};
pub(crate) use table::{Cell, Column, Place, Table, column, fill, right};
pub(crate) use tree::{Branch, branches};
