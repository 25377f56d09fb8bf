//! One behaviour a file: an event in, an opinion out.
