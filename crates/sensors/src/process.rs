//! The collector of processes (and, on the best rung, connections): it runs the present rung of the ladder.

use std::sync::Arc;

use super::ladder::Steps;
use super::{Collector, CollectorError, Sink, Stop};

/// Runs the present rung. When the rung fails, the ladder steps down and this returns the error; run again, it
/// takes the next rung.
pub(super) struct ProcessCollector(pub(super) Arc<Steps>);

impl Collector for ProcessCollector {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        self.0.run(sink, stop)
    }
}
