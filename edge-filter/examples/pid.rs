//! A PID loop heats a tank: automatic, a hand on the valve, a failed sensor, and no bump on the way back.
//!
//! ```text
//! 0 s: 20.0 degrees, valve 100 %
//! 100 s: 61.3 degrees, valve 50 %
//! 200 s: 60.1 degrees, valve 50 %
//! 300 s: 60.0 degrees, valve 40 %
//! 400 s: 58.8 degrees, valve 51 %
//! 500 s: 60.0 degrees, valve 50 %
//! 600 s: 60.0 degrees, valve 50 %
//! hottest: 61.4 degrees
//! ```

use edge_filter::Quality;
use edge_filter::pid::{Pid, PidInput, PidMode, PidState};

const SCAN_S: f64 = 0.5;

/// Tank that loses heat to a hall of 20 degrees and follows the valve with a lag of a minute.
struct Tank {
    degrees: f64,
}

impl Tank {
    fn pass(&mut self, valve: f64, seconds: f64) {
        let rest = 20.0 + 0.8 * valve;
        self.degrees += (rest - self.degrees) * seconds / 60.0;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The valve ends at 0 and 100 %; the integral does not wind up there.
    let pid = Pid::isa(4.0, 40.0, 0.0)?.output_limits(0.0, 100.0)?;
    let (mut state, mut tank) = (PidState::default(), Tank { degrees: 20.0 });
    let (mut valve, mut hottest): (f64, f64) = (0.0, 0.0);
    for scan in 0..=1_200 {
        let second = scan / 2;
        let mode = if (300..330).contains(&second) { PidMode::Manual(40.0) } else { PidMode::Auto };
        let quality = if (400..420).contains(&second) { Quality::BAD } else { Quality::GOOD };
        let input = PidInput { pv: tank.degrees, quality, setpoint: 60.0, mode };
        let before = valve;
        valve = pid.step(&mut state, &input, SCAN_S);
        if scan % 200 == 0 {
            println!("{second} s: {:.1} degrees, valve {valve:.0} %", tank.degrees);
        }
        // From the hand back to automatic, and while the sensor says nothing, the valve does not jump.
        let returns = scan == 660 || quality.is_bad();
        assert!(!returns || (valve - before).abs() < 2.0, "{second} s: from {before} to {valve}");
        assert!((0.0..=100.0).contains(&valve));
        hottest = hottest.max(tank.degrees);
        tank.pass(valve, SCAN_S);
    }
    println!("hottest: {hottest:.1} degrees");
    assert!((tank.degrees - 60.0).abs() < 0.5 && hottest < 65.0);
    Ok(())
}
