//! Bars: the rows of a table beside each other.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use tu_token_fleet::frame::{COLOURS, INK, PAPER};

use crate::curves::ends;
use crate::samples::{Results, Row};
use crate::shown::number;
use crate::tables::{names, places};

const WIDTH: u32 = 960;
const NAMES: f64 = 250.0;
const TITLE: f64 = 44.0;
const BAR: f64 = 14.0;
const GAP: f64 = 10.0;
/// What is left at the right for the figure at the end of a bar.
const FIGURE: f64 = 110.0;

/// A chart of a group: a bar for each row and place, on a logarithmic scale.
pub struct Bars {
    pub group: &'static str,
    pub file: &'static str,
    pub title: &'static str,
    pub place: fn(f64) -> String,
}

/// The length of a bar, as a share of the longest. Logarithmic: peers differ by factors of a hundred.
pub fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    ((value / low).ln() / (high / low).ln()).clamp(0.0, 1.0)
}

impl Bars {
    /// Writes the chart into a directory, as SVG.
    pub fn draw(&self, results: &Results, directory: &Path) -> Result<(), Box<dyn Error>> {
        let rows: Vec<&Row> =
            results.group(self.group).into_iter().filter(|row| row.missing.is_none()).collect();
        let names = names(&rows);
        let columns = places(&rows);
        let of = |name, at| results.row(self.group, name, at).and_then(Row::summary);
        let medians = rows.iter().filter_map(|row| Some(row.summary()?.median));
        let (low, high) = ends(medians, true);
        let scale = (low / 2.0, high);

        let height = TITLE + names.len() as f64 * (columns.len() as f64 * BAR + GAP) + GAP;
        let path = directory.join(self.file);
        let area = SVGBackend::new(&path, (WIDTH, height as u32)).into_drawing_area();
        area.fill(&PAPER)?;
        let text = |text: String, x: f64, y: f64, size: f64, colour: &RGBColor| {
            let style = ("sans-serif", size).into_font().color(colour);
            area.draw(&Text::new(text, (x as i32, y as i32), style))
        };
        text(self.title.to_owned(), 12.0, 10.0, 18.0, &INK)?;
        for (place, at) in columns.iter().enumerate().filter(|_| columns.len() > 1) {
            let x = NAMES + 350.0 + place as f64 * 130.0;
            text((self.place)(*at), x, 14.0, 13.0, &COLOURS[place % COLOURS.len()])?;
        }
        let mut y = TITLE;
        for name in names {
            text(name.to_owned(), 12.0, y, 13.0, &INK)?;
            for (place, at) in columns.iter().enumerate() {
                let colour = &COLOURS[place % COLOURS.len()];
                if let Some(summary) = of(name, *at) {
                    let width = share(summary.median, scale) * (f64::from(WIDTH) - NAMES - FIGURE);
                    let end = NAMES + width;
                    let corners =
                        [(NAMES as i32, y as i32 + 1), (end as i32, (y + BAR) as i32 - 1)];
                    area.draw(&Rectangle::new(corners, colour.filled()))?;
                    text(number(summary.median), end + 6.0, y + 1.0, 12.0, &INK)?;
                }
                y += BAR;
            }
            y += GAP;
        }
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_as_much_is_always_the_same_length_more() {
        let scale = (1.0, 10_000.0);
        assert_eq!(share(1.0, scale), 0.0);
        assert!((share(100.0, scale) - 0.5).abs() < 1e-9);
        assert_eq!(share(20_000.0, scale), 1.0);
    }

    #[test]
    fn each_row_that_was_measured_has_a_bar_for_each_place() {
        let directory = tempfile::tempdir().unwrap();
        let text = "c\tmine & yours\t1\tns\t10\nc\tmine & yours\t2\tns\t20\nc\tslow\t1\tns\t900\nc\tno\t1\t-\twhy";
        let bars =
            Bars { group: "c", file: "c.svg", title: "C", place: |at| format!("{at} threads") };
        bars.draw(&Results::parse(text).unwrap(), directory.path()).unwrap();
        let drawn = std::fs::read_to_string(directory.path().join("c.svg")).unwrap();
        // The background is a rectangle too.
        assert_eq!(drawn.matches("<rect").count(), 4, "{drawn}");
        assert!(drawn.contains("mine &amp; yours"));
    }
}
