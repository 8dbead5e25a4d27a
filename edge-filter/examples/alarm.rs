//! A limit alarm from its rise to its acknowledgement: deadband, delay, bad input and a late operator.
//!
//! ```text
//! 25 s: HI NORM -> UNACK_ALM at 96.0
//! 50 s: HIHI NORM -> UNACK_ALM at 112.0
//! 60 s: HIHI UNACK_ALM -> RTN_UNACK at 90.0
//! 60 s: HI UNACK_ALM -> RTN_UNACK at 90.0
//! 70 s: HI RTN_UNACK -> NORM at 90.0
//! ```

use edge_filter::Quality;
use edge_filter::alarm::{
    AckError, AlarmLevel, AlarmState, AlarmTransition, Limit, LimitAlarm, LimitAlarmState,
};

fn tell(transition: &AlarmTransition) {
    let AlarmTransition { level, from, to, time, value, .. } = transition;
    println!("{} s: {} {} -> {} at {value:.1}", time / 1_000, level.as_str(), from.as_str(), to.as_str());
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // High from 95 for 5 s on; back below 93.5. A peak is no alarm, and a value on the limit does not make it flicker.
    let high = Limit::at(95.0)?.deadband(1.5)?.on_delay_ms(5_000)?.priority(700)?;
    let high_high = Limit::at(110.0)?.deadband(1.5)?.priority(900)?;
    let alarm = LimitAlarm::new().with(AlarmLevel::High, high)?.with(AlarmLevel::HighHigh, high_high)?;
    let mut state = LimitAlarmState::default();

    let bad = Quality::BAD_NO_COMMUNICATION;
    let readings = [
        (0, 90.0, Quality::GOOD),
        (10, 96.0, Quality::GOOD), // a peak
        (12, 90.0, Quality::GOOD),
        (20, 96.0, Quality::GOOD),
        (30, 94.0, Quality::GOOD), // within the deadband
        (40, 0.0, bad),            // proves nothing
        (50, 112.0, Quality::GOOD),
        (60, 90.0, Quality::GOOD),
    ];
    let mut seen = Vec::new();
    for (second, value, quality) in readings {
        let time = 1_000 * second;
        alarm.check(&mut state, value, quality, time, time, &mut |transition| seen.push(transition));
    }
    seen.iter().for_each(tell);

    // An operator answers to the occurrence that the transition named.
    let occurrence = state.transition(AlarmLevel::High);
    let other = alarm.acknowledge(&mut state, AlarmLevel::High, occurrence + 1, 70_000);
    assert_eq!(other, Err(AckError::OtherOccurrence { current: occurrence }));
    tell(&alarm.acknowledge(&mut state, AlarmLevel::High, occurrence, 70_000)?);
    assert_eq!(state.state(AlarmLevel::High), AlarmState::Normal);
    assert_eq!(state.state(AlarmLevel::HighHigh), AlarmState::ReturnedUnacknowledged);
    assert_eq!(seen.len(), 4, "neither the peak nor the bad reading made a transition");
    Ok(())
}
