//! Simulated process: a heated tank, a refrigerator in a shop, an emergency stop, and a sequence of events.

/// State of the process: a tank with a time constant of 15 s, whose heater at 100 % raises it 80 °C above the room; a refrigerator whose door is
/// left open; an emergency stop that is pressed. Times in seconds since the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    tank_c: f64,
    fridge_f: f64,
    was_reset: u32,
}

const ROOM_C: f64 = 20.0;
/// Time at which the operator resets the interlock, which is tripped at the start.
const FIRST_RESET_S: f64 = 1.0;
/// Period in which the refrigerator's sensor is warmed by the sun to 97.4 °F, a value reported from the field.
const FRIDGE_WARM_S: std::ops::Range<f64> = 4.0..9.0;
const FRIDGE_WARM_F: f64 = 97.4;
const STOP_PRESSED_S: std::ops::Range<f64> = 11.0..12.0;
const SECOND_RESET_S: f64 = 13.0;

impl Default for Process {
    fn default() -> Self {
        Process { tank_c: ROOM_C, fridge_f: 38.0, was_reset: 0 }
    }
}

impl Process {
    /// Returns the values that the sensors and the operator publish at `at_s`, after `dt_s` with these outputs: heater, compressor, contactor.
    pub fn sample(&mut self, at_s: f64, dt_s: f64, outputs: [f64; 3]) -> Vec<(&'static str, String)> {
        let [heater, compressor, contactor] = outputs;
        let power = if contactor > 0.5 { heater } else { 0.0 };
        self.tank_c += dt_s / 15.0 * (ROOM_C + 0.8 * power - self.tank_c);
        let towards_f = if compressor > 0.5 { 30.0 } else { 70.0 };
        self.fridge_f += dt_s / 20.0 * (towards_f - self.fridge_f);
        let fridge_f = if FRIDGE_WARM_S.contains(&at_s) { FRIDGE_WARM_F } else { self.fridge_f };
        let closed = !STOP_PRESSED_S.contains(&at_s);
        let mut said = vec![
            ("tank/temp", format!("{:.3}", self.tank_c)),
            ("store104/fridge/temp", format!("{{\"temp\": {fridge_f:.1}, \"unit\": \"F\"}}")),
            ("line/estop", closed.to_string()),
            ("tank/pressure/1", "2.1".to_owned()),
            ("tank/pressure/2", "2.2".to_owned()),
            ("tank/pressure/3", "2.0".to_owned()),
        ];
        let resets = [FIRST_RESET_S, SECOND_RESET_S].iter().filter(|at| at_s >= **at).count();
        let resets = u32::try_from(resets).unwrap_or(0);
        if resets > self.was_reset {
            self.was_reset = resets;
            said.push(("cmd/interlock/stop/reset", String::new()));
        }
        said
    }

    /// Returns the tank's temperature in °C.
    #[must_use]
    pub fn tank_c(&self) -> f64 {
        self.tank_c
    }
}

#[cfg(all(test, feature = "program"))]
mod tests {
    use super::*;
    use crate::Config;
    use edge_filter::Quality;
    use edge_filter::control::ControlCommand;

    /// The demonstration in virtual time: the loop settles, the alarm comes at 97.4 °F after its delay, the stop stops.
    #[test]
    fn the_story_goes_as_told() {
        let mut controller = Config::demonstration().unwrap().loops.controller;
        let (mut process, mut events) = (Process::default(), Vec::new());
        let (mut outputs, mut stopped_at) = ([0.0; 3], None);
        let start_ns = 1_700_000_000_000_000_000;
        for step in 0..6_000_u64 {
            let at_s = step as f64 / 100.0;
            let now_ns = start_ns + step * 10_000_000;
            if step % 2 == 0 {
                for (topic, payload) in process.sample(at_s, 0.02, outputs) {
                    if topic.starts_with("cmd/") {
                        controller
                            .command(ControlCommand::Reset { interlock: 0 }, now_ns, &mut |_| ())
                            .unwrap();
                    } else if let Some(input) = controller.inputs().number(topic) {
                        let number = payload.trim_start_matches("{\"temp\": ").split(',').next().unwrap();
                        let value = number.parse().unwrap_or(f64::from(u8::from(number == "true")));
                        controller.set_input(input, value, Quality::GOOD, now_ns);
                    }
                }
            }
            controller.scan(now_ns, &mut |event| events.push((at_s, event)));
            for (to, from) in outputs.iter_mut().zip(controller.outputs()) {
                *to = from.value();
            }
            if (11.0..13.0).contains(&at_s) {
                assert_eq!((outputs[0], outputs[2]), (0.0, 0.0), "stopped at {at_s}");
                stopped_at.get_or_insert(at_s);
            }
        }
        assert_eq!(stopped_at, Some(11.0));
        assert!((process.tank_c() - 60.0).abs() < 1.0, "{} °C after a minute", process.tank_c());
        let alarms: Vec<_> = events
            .iter()
            .filter_map(|(at_s, event)| match event {
                edge_filter::control::ControlEvent::Alarm { transition, .. } => {
                    Some((*at_s, transition.to.as_str(), transition.value))
                }
                _ => None,
            })
            .collect();
        assert_eq!(alarms.len(), 2, "{alarms:?}");
        assert_eq!(alarms[0], (6.0, "UNACK_ALM", 97.4), "two seconds after it began");
        assert_eq!(alarms[1].1, "RTN_UNACK");
    }
}
