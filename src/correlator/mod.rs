//! Signals in, incidents out: entities, window, score, kill chain, explanation.
