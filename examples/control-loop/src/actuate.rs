//! Sinks of the outputs: a GPIO, a fieldbus, a simulated process.

/// Writes all outputs to their actuators. Called on the control thread after each scan, so it must return within a fraction of the period; and on
/// the watchdog's thread with the safe states while the control thread does not scan.
///
/// An actuator that gets no value for a while should go to its safe state by itself, because no program can send one after its machine has
/// stopped.
pub trait Actuate: Send + 'static {
    /// Writes the outputs, in the order of the configuration.
    fn apply(&mut self, outputs: &[f64]);
}

impl<F: FnMut(&[f64]) + Send + 'static> Actuate for F {
    fn apply(&mut self, outputs: &[f64]) {
        self(outputs);
    }
}
