//! The stages with an error bound, run over a recording at many tolerances.

use edge_filter::reduce::{
    Deadband, DeadbandState, SegmentHold, SegmentHoldState, SwingingDoor, SwingingDoorState, Verdict,
};
use edge_filter::{ParamError, Quality};

/// A stage with an error bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Deadband,
    SwingingDoor,
    SegmentHold,
}

impl Stage {
    pub(super) const ALL: [Self; 3] = [Self::Deadband, Self::SwingingDoor, Self::SegmentHold];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deadband => "deadband",
            Self::SwingingDoor => "swinging_door",
            Self::SegmentHold => "segment_hold",
        }
    }

    /// The stage as a rules file spells it.
    pub(super) fn rule(self, tolerance: f64) -> String {
        let key = if self == Self::Deadband { "absolute" } else { "deviation" };
        format!("{} = {{ {key} = {tolerance:?} }}", self.name())
    }
}

/// Stage at one tolerance, and the readings that it has kept.
pub(super) struct Trial {
    pub(super) stage: Stage,
    pub(super) tolerance: f64,
    pub(super) kept: u64,
    run: Run,
}

enum Run {
    Deadband(Deadband, DeadbandState),
    SwingingDoor(SwingingDoor, SwingingDoorState),
    SegmentHold(SegmentHold, SegmentHoldState),
}

impl Trial {
    pub(super) fn new(stage: Stage, tolerance: f64) -> Result<Self, ParamError> {
        let run = match stage {
            Stage::Deadband => Run::Deadband(Deadband::absolute(tolerance)?, DeadbandState::default()),
            Stage::SwingingDoor => {
                Run::SwingingDoor(SwingingDoor::new(tolerance)?, SwingingDoorState::default())
            }
            Stage::SegmentHold => Run::SegmentHold(SegmentHold::new(tolerance)?, SegmentHoldState::default()),
        };
        Ok(Trial { stage, tolerance, kept: 0, run })
    }

    pub(super) fn take(&mut self, value: f64, time: i64) {
        let mut kept = 0;
        let emitted = |verdict: Verdict| u64::from(matches!(verdict, Verdict::Emit(_)));
        let passed = match &mut self.run {
            Run::Deadband(stage, state) => {
                u64::from(stage.check(state, value, Quality::GOOD, time).is_some())
            }
            Run::SwingingDoor(stage, state) => {
                emitted(stage.check(state, value, Quality::GOOD, time, &mut |_| kept += 1))
            }
            Run::SegmentHold(stage, state) => {
                emitted(stage.check(state, value, Quality::GOOD, time, &mut |_| kept += 1))
            }
        };
        self.kept += kept + passed;
    }

    /// Sends what is held at the end.
    pub(super) fn finish(&mut self) {
        let mut kept = 0;
        match &mut self.run {
            Run::Deadband(..) => {}
            Run::SwingingDoor(stage, state) => stage.flush(state, &mut |_| kept += 1),
            Run::SegmentHold(stage, state) => stage.flush(state, &mut |_| kept += 1),
        }
        self.kept += kept;
    }

    /// Returns whether it keeps at most a tenth.
    pub(super) fn is_tenfold(&self, readings: u64) -> bool {
        self.kept.saturating_mul(10) <= readings
    }
}
