//! Anti-windup: keeps the integral from growing while the output is at a limit, by back-calculation or by a clamp.

use super::Pid;
use crate::error::ParamError;

/// Method that keeps the integral from growing while the output is at a limit.
///
/// ```
/// # use edge_filter::{ParamError, pid::{AntiWindup, Pid}};
/// let pid = Pid::isa(2.0, 30.0, 5.0)?.output_limits(0.0, 100.0)?.anti_windup(AntiWindup::TrackingTime(20.0))?;
/// # let _ = pid;
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the two of the specification")]
pub enum AntiWindup {
    /// `I += (u_limited - u)·dt/Tt` with `Tt = √(Ti·Td)`, or `Ti` without a derivative.
    #[default]
    BackCalculation,
    /// As [`AntiWindup::BackCalculation`], with a given tracking time in seconds.
    TrackingTime(f64),
    /// The integral starts within the output's limits and does not grow beyond them.
    Clamp,
}

impl Pid {
    /// Sets the anti-windup of the integral.
    ///
    /// # Errors
    /// If a tracking time is not a finite number above 0.
    pub fn anti_windup(mut self, how: AntiWindup) -> Result<Self, ParamError> {
        if let AntiWindup::TrackingTime(tt_s) = how
            && !(tt_s.is_finite() && tt_s > 0.0)
        {
            return Err(ParamError::new("tt_s", "a finite number above 0", tt_s));
        }
        self.anti_windup = how;
        Ok(self)
    }

    /// Returns the integral of a controller that has no output yet.
    pub(super) fn at_start(&self) -> f64 {
        if self.anti_windup == AntiWindup::Clamp { self.limited(0.0) } else { 0.0 }
    }

    /// Returns the integral after its growth. A clamped integral may be outside the limits after a transfer; it then does not grow further.
    pub(super) fn integrated(&self, integral: f64, growth: f64) -> f64 {
        let sum = integral + growth;
        match self.anti_windup {
            AntiWindup::Clamp => sum.max(self.min.min(integral)).min(self.max.max(integral)),
            AntiWindup::BackCalculation | AntiWindup::TrackingTime(_) => sum,
        }
    }

    /// Returns the share of the excess that back-calculation removes within `dt_s` seconds.
    pub(super) fn back_share(&self, dt_s: f64) -> f64 {
        if self.ki == 0.0 || dt_s == 0.0 {
            return 0.0;
        }
        let tt_s = match self.anti_windup {
            AntiWindup::TrackingTime(tt_s) => tt_s,
            AntiWindup::BackCalculation => {
                let (ti, td) = ((self.kp / self.ki).abs(), (self.kd / self.kp).abs());
                if td > 0.0 && td.is_finite() { (ti * td).sqrt() } else { ti }
            }
            AntiWindup::Clamp => return 0.0,
        };
        // A pure integrator has Ti = 0: the whole excess at once.
        (dt_s / tt_s).min(1.0)
    }
}
