//! Every acknowledged reading as a map of cells, in the order of acknowledgment. A cell takes the colour of its worst reading, and that of most
//! of its readings where all are as they should be.

use std::fmt::Write as _;

use edge_page::count;

use super::{Report, svg};
use crate::verdict::Fate;

/// Keeps the page small and a cell visible.
const CELLS_MAX: usize = 800;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Colour {
    Represented,
    Live,
    Late,
    Twice,
    Lost,
}

/// Readings per cell, and the map.
pub(super) fn map(report: &Report) -> (usize, String) {
    let fates = &report.verdict.fates;
    let per_cell = readings_per_cell(fates.len());
    let mut html = String::from("<div class=\"cells\" role=\"img\" aria-label=\"");
    let colours: Vec<Colour> =
        report.records.acks.iter().zip(fates).map(|(ack, fate)| colour(ack.first_sent, *fate)).collect();
    let cells: Vec<&[Colour]> = colours.chunks(per_cell).collect();
    let lost_cells = cells.iter().filter(|cell| cell.contains(&Colour::Lost)).count();
    let _ = write!(html, "{} cells of {per_cell} readings; {lost_cells} hold a lost reading\">", cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let worst = colour_of(cell);
        let class = match worst {
            Colour::Represented => "r",
            Colour::Live => "l",
            Colour::Late => "k",
            Colour::Twice => "d",
            Colour::Lost => "x",
        };
        if worst == Colour::Lost {
            let lost = cell.iter().filter(|colour| **colour == Colour::Lost).count();
            let from = count((index * per_cell) as u64 + 1);
            let _ = write!(html, "<i class=x title=\"{lost} lost from no. {from} on\"></i>");
        } else {
            let _ = write!(html, "<i class={class}></i>");
        }
    }
    html.push_str("</div>");
    (per_cell, html)
}

fn colour_of(cell: &[Colour]) -> Colour {
    let represented = cell.iter().filter(|colour| **colour == Colour::Represented).count();
    match cell.iter().max() {
        Some(Colour::Live) if 2 * represented > cell.len() => Colour::Represented,
        worst => worst.copied().unwrap_or(Colour::Live),
    }
}

fn colour(first_sent: i64, fate: Fate) -> Colour {
    match fate {
        Fate::Lost => Colour::Lost,
        Fate::Represented => Colour::Represented,
        Fate::Arrived { twice: true, .. } => Colour::Twice,
        Fate::Arrived { time, .. } if time.saturating_sub(first_sent) >= svg::LIVE_MS => Colour::Late,
        Fate::Arrived { .. } => Colour::Live,
    }
}

/// Returns 1, 2, 5, 10, 20, 50 ... readings for a cell, so that at most [`CELLS_MAX`] cells are drawn.
fn readings_per_cell(readings: usize) -> usize {
    let wanted = readings.div_ceil(CELLS_MAX).max(1);
    let decades = std::iter::successors(Some(1_usize), |decade| decade.checked_mul(10));
    decades
        .flat_map(|decade| [1, 2, 5].map(|step| decade.saturating_mul(step)))
        .find(|n| *n >= wanted)
        .unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_a_round_number_of_readings() {
        assert_eq!([0, 1, 800, 801, 7680, 118_000].map(readings_per_cell), [1, 1, 1, 2, 10, 200]);
    }

    #[test]
    fn what_is_not_sent_shows_among_what_is() {
        let represented = [Colour::Represented; 4];
        for (other, expected) in [
            (Colour::Live, Colour::Represented),
            (Colour::Late, Colour::Late),
            (Colour::Twice, Colour::Twice),
            (Colour::Lost, Colour::Lost),
        ] {
            assert_eq!(colour_of(&[&represented[..], &[other]].concat()), expected);
        }
        assert_eq!(colour_of(&[Colour::Represented, Colour::Live]), Colour::Live);
    }

    #[test]
    fn a_lost_reading_is_worse_than_anything() {
        assert_eq!(
            [Colour::Live, Colour::Twice, Colour::Lost, Colour::Late].iter().max(),
            Some(&Colour::Lost)
        );
        assert_eq!(colour(0, Fate::Arrived { time: 2000, twice: false }), Colour::Late);
        assert_eq!(colour(0, Fate::Arrived { time: 1999, twice: false }), Colour::Live);
    }
}
