//! What leaves the machine, and only when configured.
