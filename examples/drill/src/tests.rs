use super::*;

const COMMAND: &str = "cargo run --profile quick -p edge-gateway -- drill";

fn arguments(report: &Path, gateway: Option<&str>) -> Arguments {
    let gateway = gateway.map(|command| command.parse().unwrap());
    Arguments {
        seconds: 1,
        seed: None,
        report: report.to_owned(),
        record: None,
        mosquitto: false,
        gateway,
        numbers: false,
    }
}

fn own(program: &str) -> OwnGateway {
    OwnGateway { program: program.into(), configuration: "", command: COMMAND, forecast: None }
}

#[test]
fn negative_control_a_gateway_that_does_not_start_is_a_failed_drill_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report");
    // It takes `run` for a file that is not there, says so and ends.
    let error = drill(&arguments(&report, None), Some(&own("cat"))).unwrap_err().to_string();
    assert!(error.contains("the gateway has ended") && error.contains("state"), "{error}");
    assert_eq!(run(&arguments(&report, None), Some(&own("cat"))), ExitCode::from(1));
    assert!(report.join("work/gateway.toml").exists() && !report.join(report::HTML_FILE).exists());
}

#[test]
fn the_command_that_is_printed_runs_the_same_story_again() {
    let mut arguments = arguments(Path::new("r"), None);
    let again = |arguments: &Arguments, seconds| again(COMMAND, arguments, seconds, 7);
    assert_eq!(again(&arguments, 40), "cargo run --profile quick -p edge-gateway -- drill --seed 7");
    arguments.mosquitto = true;
    assert_eq!(
        again(&arguments, 60),
        "cargo run --profile quick -p edge-gateway -- drill --seed 7 --seconds 60 --mosquitto"
    );
    (arguments.mosquitto, arguments.gateway) = (false, Some("gw {local_port} {hub_port}".parse().unwrap()));
    assert_eq!(
        again(&arguments, 40),
        "cargo run --profile quick -p edge-gateway -- drill --seed 7 --gateway \"gw {local_port} {hub_port}\""
    );
    arguments.numbers = true;
    assert!(again(&arguments, 40).ends_with(" --seed 7 --numbers --gateway \"gw {local_port} {hub_port}\""));
}

#[test]
fn without_a_gateway_of_its_own_the_drill_asks_for_one() {
    let error = drill(&arguments(Path::new("never-written"), None), None).unwrap_err().to_string();
    assert!(error.contains("--gateway"), "{error}");
    let numbers = Program::try_parse_from(["outage-drill", "--numbers"]).map(drop).unwrap_err();
    assert!(numbers.to_string().contains("--gateway"), "{numbers}");
}
