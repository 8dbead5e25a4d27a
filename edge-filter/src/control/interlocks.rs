//! Interlocks of a controller, and the outputs that each of them holds in their safe states.

use super::{CommandError, ControlEvent, Inputs, Output};
use crate::interlock::{Interlock, InterlockState, InterlockStatus};

#[derive(Clone, Debug, Default)]
pub(super) struct Interlocks {
    all: Vec<NamedInterlock>,
}

#[derive(Clone, Debug)]
struct NamedInterlock {
    name: String,
    interlock: Interlock,
    outputs: Vec<usize>,
    state: InterlockState,
    told: Option<InterlockStatus>,
}

impl Interlocks {
    pub(super) fn add(&mut self, name: String, interlock: Interlock, outputs: Vec<usize>) {
        self.all.push(NamedInterlock {
            name,
            interlock,
            outputs,
            state: InterlockState::default(),
            told: None,
        });
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|held| held.name.as_str())
    }

    pub(super) fn reset_by_hand(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter(|held| held.interlock.is_reset_by_hand()).map(|held| held.name.as_str())
    }

    /// Returns the states of the interlocks by name, without bypasses.
    pub(super) fn states(&self) -> impl Iterator<Item = (&str, InterlockState)> {
        self.all.iter().map(|held| (held.name.as_str(), held.state.without_bypass()))
    }

    /// Restores the states from a snapshot of an earlier process; `kept` returns the state of the interlock of a name.
    pub(super) fn resume(&mut self, kept: impl Fn(&str) -> Option<InterlockState>, now_ms: i64) {
        for held in &mut self.all {
            if let Some(state) = kept(&held.name) {
                held.state = state.without_bypass().of_earlier_run(now_ms);
            }
        }
    }

    /// Lets the healthy time that an interlock waits for begin anew: nobody saw its inputs.
    pub(super) fn stood_still(&mut self) {
        self.all.iter_mut().for_each(|held| held.state.stood_still());
    }

    /// Evaluates all interlocks, and sets on each output whether an interlock trips it.
    pub(super) fn scan(
        &mut self,
        inputs: &Inputs,
        outputs: &mut [Output],
        now_ms: i64,
        on: &mut impl FnMut(ControlEvent),
    ) {
        outputs.iter_mut().for_each(|output| output.tripped = false);
        for (number, held) in (0..).zip(&mut self.all) {
            let status = held.interlock.evaluate(&mut held.state, &|i| inputs.good(i, now_ms), now_ms);
            if !status.energised {
                for &output in &held.outputs {
                    if let Some(output) = outputs.get_mut(output) {
                        output.tripped = true;
                    }
                }
            }
            if held.told.replace(status) != Some(status) {
                on(ControlEvent::Interlock { interlock: number, status, at_ms: now_ms });
            }
        }
    }

    pub(super) fn reset(&mut self, interlock: u16, inputs: &Inputs, now_ms: i64) -> Result<(), CommandError> {
        let held = self.get(interlock)?;
        let read = |input: usize| inputs.good(input, now_ms);
        held.interlock.reset(&mut held.state, &read, now_ms).map_err(CommandError::Interlock)
    }

    pub(super) fn bypass(&mut self, interlock: u16, for_ms: i64, now_ms: i64) -> Result<(), CommandError> {
        let held = self.get(interlock)?;
        held.interlock.bypass(&mut held.state, for_ms, now_ms).map_err(CommandError::Interlock)
    }

    pub(super) fn end_bypass(&mut self, interlock: u16) -> Result<(), CommandError> {
        let held = self.get(interlock)?;
        held.interlock.end_bypass(&mut held.state);
        Ok(())
    }

    fn get(&mut self, interlock: u16) -> Result<&mut NamedInterlock, CommandError> {
        self.all.get_mut(usize::from(interlock)).ok_or(CommandError::Unknown)
    }
}
