//! Collect, detect, correlate, judge, respond, publish.
