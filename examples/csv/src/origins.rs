//! Topics and gateways of sensors in a recording from a hub: names are unique below one topic alone.

use crate::{Cell, CsvError};

/// Number of cells, the last ones of a line, that say the origin: topic and gateway.
const CELLS: usize = 2;

/// Most characters of a topic that are shown: it may have 64 KiB.
const CHARS_SHOWN: usize = 100;

/// Origin of each sensor.
#[derive(Debug)]
pub(crate) struct Origins {
    /// Set if lines have an origin.
    is_told: bool,
    /// Different origins in the order of their first line, which are few.
    all: Vec<[String; CELLS]>,
    /// Number of the origin, by column.
    by_column: Vec<usize>,
}

impl Origins {
    pub(crate) fn new(is_told: bool) -> Self {
        Self { is_told, all: Vec::new(), by_column: Vec::new() }
    }

    /// Compares the origin of a line with that of the sensor's first line. Columns come in the order of their numbers.
    ///
    /// # Errors
    /// It is another one: two sensors of one name would become one.
    pub(crate) fn check(&mut self, column: usize, cells: &[Cell<'_>]) -> Result<(), CsvError> {
        let Some([.., topic, gateway]) = self.is_told.then_some(cells) else { return Ok(()) };
        let is_it = |origin: &[String; CELLS]| origin[0] == topic.text && origin[1] == gateway.text;
        let Some(known) = self.by_column.get(column).and_then(|number| self.all.get(*number)) else {
            let number = self.all.iter().rposition(is_it).unwrap_or_else(|| {
                self.all.push([topic.text.to_string(), gateway.text.to_string()]);
                self.all.len() - 1
            });
            self.by_column.push(number);
            return Ok(());
        };
        if is_it(known) {
            return Ok(());
        }
        let [first, by] = known.each_ref().map(|text| shown(text));
        let [other, by_other] = [topic, gateway].map(|cell| shown(&cell.text));
        let what = format!(
            "the sensor has topic {first} and gateway {by} above, {other} and {by_other} here: two of one name would become one (a gateway \
             whose queue began anew has another id); keep the lines of one, or cut the columns topic and gateway off"
        );
        Err(CsvError::file(topic.place(), what))
    }
}

/// Returns the beginning of a text, in quotation marks.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(CHARS_SHOWN).collect::<String>())
}
