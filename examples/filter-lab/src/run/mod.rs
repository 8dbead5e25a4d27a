//! Rules over recorded data: what is kept, what that saves and what it costs.

mod account;
mod curve;
mod distance;
mod drops;
mod page;
mod plot;
mod reader;
mod suggest;

use crate::error::Error;
use crate::refuse_to_overwrite;
use account::Account;
use drops::Drops;
use edge_csv::{Field, TimeUnit, Visible};
use edge_filter::{Emit, Outcome, Pipeline, Quality, Value};
use reader::{Reader, Record, Source};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The rules, as edge-filter reads them
    #[arg(long, value_name = "TOML", required_unless_present = "suggest")]
    rules: Option<PathBuf>,
    /// `ts_ms,sensor,value,quality`, one column per sensor, `ts_ms,<name>:<kind>:<unit>,...`, or `time,value`; plain or gzip
    #[arg(long = "in", value_name = "CSV")]
    input: PathBuf,
    /// What is kept, `ts_ms,sensor,value,quality,reason`
    #[arg(long = "out", value_name = "CSV", required_unless_present = "suggest", requires = "rules")]
    output: Option<PathBuf>,
    /// In that file: an apostrophe before names that a spreadsheet would take for a formula (= + - @)
    #[arg(long)]
    spreadsheet: bool,
    /// Pass over lines that cannot be read, and say how many at the end
    #[arg(long)]
    skip_bad: bool,
    /// Unit of times that are numbers: s, ms, us or ns; default: what the column's name ends in (_s, _us, _ns), else ms
    #[arg(long, value_name = "UNIT")]
    time_unit: Option<TimeUnit>,
    /// Plots and figures in one HTML file
    #[arg(long, value_name = "HTML", requires = "rules")]
    report: Option<PathBuf>,
    /// Propose tolerances for each sensor, with their price
    #[arg(long)]
    suggest: bool,
}

impl Arguments {
    fn source(&self) -> Source<'_> {
        Source { file: &self.input, skip_bad: self.skip_bad, time_unit: self.time_unit }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    if arguments.suggest {
        print(&suggest::table(&arguments.source())?)?;
    }
    let (Some(rules), Some(output)) = (&arguments.rules, &arguments.output) else { return Ok(()) };
    for output in [Some(output), arguments.report.as_ref()].into_iter().flatten() {
        refuse_to_overwrite(
            output,
            &[(arguments.input.as_path(), "the recording"), (rules.as_path(), "the rules")],
        )?;
    }
    let pipeline = pipeline(rules)?;
    let mut reader = Reader::open(&arguments.source())?;
    let mut lab = Lab::new(pipeline, output, arguments.spreadsheet)?;
    while let Some(record) = reader.next_record()? {
        lab.take(&record)?;
    }
    if let Some(skipped) = reader.skipped() {
        edge_print::complain!("filter-lab: {}", Visible(&skipped));
    }
    let accounts = lab.finish()?;
    print(&accounts.iter().map(|account| format!("{}\n", Visible(&account.line()))).collect::<String>())?;
    let Some(report) = &arguments.report else { return Ok(()) };
    std::fs::write(report, page::page(&arguments.input, rules, &accounts))
        .map_err(|error| Error::io(report, "write it", &error))?;
    if accounts.len() > page::SENSORS_MAX {
        let (shown, all) = (page::SENSORS_MAX, accounts.len());
        edge_print::complain!(
            "filter-lab: {}: shows {shown} of {all} sensors",
            Visible(&report.to_string_lossy())
        );
    }
    Ok(())
}

fn print(text: &str) -> Result<(), Error> {
    edge_print::print(text).map_err(|error| Error::Data(error.to_string()))
}

fn pipeline(rules: &Path) -> Result<Pipeline, Error> {
    let text =
        edge_state::operator_file::read_rules(rules).map_err(|error| Error::io(rules, "read it", &error))?;
    Pipeline::from_toml(&text).map_err(|error| Error::Config(format!("{}: {error}", rules.display())))
}

/// A pipeline, the file of what it keeps, and the accounts of the sensors.
struct Lab {
    pipeline: Pipeline,
    output: PathBuf,
    kept: BufWriter<File>,
    spreadsheet: bool,
    /// The accounts of each name, one for each unit.
    sensors: HashMap<String, Vec<usize>>,
    accounts: Vec<Account>,
    /// The account of each of the pipeline's numbers: that of the sensor's present unit.
    numbers: HashMap<u32, usize>,
    now: i64,
}

/// Output of the pipeline, with the account it belongs to.
type Emitted = Vec<(u32, Emit<'static>)>;

impl Lab {
    fn new(pipeline: Pipeline, output: &Path, spreadsheet: bool) -> Result<Self, Error> {
        let file = File::create(output).map_err(|error| Error::io(output, "write it", &error))?;
        let mut lab = Lab {
            pipeline,
            output: output.to_owned(),
            kept: BufWriter::new(file),
            spreadsheet,
            sensors: HashMap::new(),
            accounts: Vec::new(),
            numbers: HashMap::new(),
            now: i64::MIN,
        };
        lab.write(format_args!("ts_ms,sensor,value,quality,reason\n"))?;
        Ok(lab)
    }

    /// Passes a reading through the rules at its own time, because a recording has no other clock. Time never goes back.
    fn take(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let (number, index) = self.account(record)?;
        self.now = self.now.max(record.time);
        if self.pipeline.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            let now = self.now;
            self.let_go(None, |pipeline, sink| pipeline.tick(now, &mut |emit| sink(emit)))?;
        }
        let reading = edge_filter::Reading {
            sensor: number,
            time: record.time,
            value: record.value.clone(),
            quality: record.quality,
        };
        let (before, mut emitted) = (self.pipeline.stats(), Emitted::new());
        let outcome = self.pipeline.process(reading, self.now, &mut |emit| emitted.push((emit.sensor, emit)));
        let others = Drops::between(&before, &self.pipeline.stats(), Some(&outcome));
        if let Some(account) = self.accounts.get_mut(index) {
            account.judge_waiting(record, &outcome, &others);
        }
        // What was held comes before the reading that closed it.
        self.emit(emitted)?;
        if let Some(account) = self.accounts.get_mut(index) {
            account.took(record, &outcome);
        }
        match outcome {
            Outcome::Emit(emit) => self.keep(index, &emit),
            Outcome::Held | Outcome::Drop(_) => Ok(()),
        }
    }

    /// Returns the number and the account of a reading's sensor, as a gateway knows it: the number is another one after the sensor was
    /// forgotten for want of room, and a change of the unit lets the next reading pass.
    fn account(&mut self, record: &Record<'_>) -> Result<(u32, usize), Error> {
        let number = self.pipeline.intern(record.sensor);
        let present = self.numbers.get(&number).copied();
        if let Some(account) = present.and_then(|index| self.accounts.get(index))
            && account.unit != record.unit
        {
            self.let_go(Some(number), |pipeline, sink| {
                pipeline.unit_changed(number, &mut |emit| sink(emit));
            })?;
            present.and_then(|index| self.accounts.get_mut(index)).into_iter().for_each(Account::pause);
        }
        let is_same = |index: &&usize| self.accounts.get(**index).is_some_and(|a| a.unit == record.unit);
        let known = self.sensors.get(record.sensor).and_then(|units| units.iter().find(is_same));
        let index = known.copied().unwrap_or_else(|| {
            let rule = self.pipeline.rule(number);
            self.accounts.push(Account::new(record.sensor, record.unit, number, rule));
            let index = self.accounts.len() - 1;
            self.sensors.entry(record.sensor.to_owned()).or_default().push(index);
            index
        });
        if let Some(account) = self.accounts.get_mut(index)
            && account.number != number
        {
            account.pause();
            self.numbers.remove(&std::mem::replace(&mut account.number, number));
        }
        if number != Pipeline::UNFILTERED {
            self.numbers.insert(number, index);
        }
        Ok((number, index))
    }

    /// Takes in what the pipeline does of itself to a sensor, or to those that are due, and emits what it lets go.
    fn let_go(
        &mut self,
        sensor: Option<u32>,
        act: impl FnOnce(&mut Pipeline, &mut dyn FnMut(Emit<'static>)),
    ) -> Result<(), Error> {
        let (before, mut emitted) = (self.pipeline.stats(), Emitted::new());
        act(&mut self.pipeline, &mut |emit| emitted.push((emit.sensor, emit)));
        let drops = Drops::between(&before, &self.pipeline.stats(), None);
        let numbers = emitted.iter().map(|(number, _)| *number).filter(|_| sensor.is_none()).chain(sensor);
        let mut indexes: Vec<_> = numbers.filter_map(|number| self.numbers.get(&number).copied()).collect();
        indexes.sort_unstable();
        indexes.dedup();
        for index in &indexes {
            if let Some(account) = self.accounts.get_mut(*index) {
                account.let_go(&drops, indexes.len() == 1);
            }
        }
        self.emit(emitted)
    }

    fn emit(&mut self, emitted: Emitted) -> Result<(), Error> {
        for (number, emit) in emitted {
            if let Some(index) = self.numbers.get(&number).copied() {
                if let Some(account) = self.accounts.get_mut(index) {
                    account.released(&emit);
                }
                self.keep(index, &emit)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, index: usize, emit: &Emit<'_>) -> Result<(), Error> {
        let Some(account) = self.accounts.get_mut(index) else { return Ok(()) };
        account.kept(emit);
        let name = Field { text: &account.name, for_spreadsheet: self.spreadsheet }.to_string();
        let (value, Quality(quality)) = (text(&emit.value), emit.quality);
        self.write(format_args!("{},{name},{value},{quality},{}\n", emit.time, emit.reason))
    }

    fn finish(mut self) -> Result<Vec<Account>, Error> {
        let mut numbers: Vec<u32> = self.numbers.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            self.let_go(Some(number), |pipeline, sink| {
                pipeline.flush_sensor(number, &mut |emit| sink(emit));
            })?;
        }
        self.let_go(None, |pipeline, sink| pipeline.flush(&mut |emit| sink(emit)))?;
        self.accounts.iter_mut().for_each(Account::pause);
        self.kept.flush().map_err(|error| Error::io(&self.output, "write it", &error))?;
        Ok(self.accounts)
    }

    fn write(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), Error> {
        self.kept.write_fmt(line).map_err(|error| Error::io(&self.output, "write it", &error))
    }
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::F64(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Text(v) => v.to_string(),
    }
}
