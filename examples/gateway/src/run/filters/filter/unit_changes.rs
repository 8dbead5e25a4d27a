//! Change of a sensor's unit: the name then stands for another quantity, and the filter begins anew with it.

use edge_filter::{Emit, Pipeline};

use super::super::readings::Taken;
use super::{Filter, Made, behind, forget_unnamed};

impl Filter {
    /// Records a sensor's unit. With another unit the name stands for another quantity, so readings held of the sensor are emitted first, with
    /// their own unit. Returns `false` if a stage of an embedding program panicked at that: what it holds must not get the other unit.
    pub(super) fn note_unit(&mut self, sensor: u32, unit: &str, taken: &mut Taken) -> bool {
        if sensor == Pipeline::UNFILTERED || self.units.get(&sensor).map_or("", |known| known) == unit {
            return true;
        }
        if self.pipeline.last_time(sensor).is_some()
            && !self.emit_held(taken, |pipeline, sink| pipeline.unit_changed(sensor, &mut |emit| sink(emit)))
        {
            return false;
        }
        forget_unnamed(&self.pipeline, &mut self.units);
        self.units.insert(sensor, unit.into());
        if self.pipeline.silence_ms(sensor).is_some() {
            self.silence.is_other();
        }
        true
    }

    /// Emits the readings that the stages hold of a sensor, and lets its next reading pass, because the stages no longer know the last reading
    /// that was sent.
    pub(super) fn let_next_pass(&mut self, sensor: u32, taken: &mut Taken) {
        if self.pipeline.last_time(sensor).is_some() {
            self.emit_held(taken, |pipeline, sink| pipeline.passed_beside(sensor, &mut |emit| sink(emit)));
        }
    }

    /// Keeps what the stages let go. Returns `false` if a stage of an embedding program panicked.
    fn emit_held(
        &mut self,
        taken: &mut Taken,
        work: impl FnOnce(&mut Pipeline, &mut dyn FnMut(Emit<'static>)),
    ) -> bool {
        let mut made = Vec::new();
        let done =
            behind(self.own.as_ref(), || work(&mut self.pipeline, &mut |emit| made.push(Made::of(&emit))));
        made.into_iter().for_each(|made| self.keep_made(made, taken));
        done.is_some()
    }
}
