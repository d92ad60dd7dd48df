//! Curves: what happens to a figure as something grows.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use tu_token_fleet::frame::{COLOURS, PAPER, SIZE, axes, frame};

use crate::samples::{Results, Row};
use crate::shown::label;

/// A chart of all rows of a group. The horizontal axis is logarithmic.
pub struct Curves {
    pub group: &'static str,
    pub title: &'static str,
    pub grows: &'static str,
    pub figure: &'static str,
}

/// A line: its name, its points with their quartiles.
type Line = (String, Vec<(f64, [f64; 3])>);

fn lines(results: &Results, group: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in results.group(group) {
        let Some(summary) = row.summary() else { continue };
        let point = (row.at, [summary.low, summary.median, summary.high]);
        match lines.iter_mut().find(|(name, _)| *name == row.name) {
            Some((_, points)) => points.push(point),
            None => lines.push((row.name.clone(), vec![point])),
        }
    }
    lines.iter_mut().for_each(|(_, points)| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    lines
}

/// The ends of an axis: the widest of all values with some room. From zero, unless it is logarithmic.
pub fn ends(values: impl Iterator<Item = f64>, logarithmic: bool) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, 0.0), |(low, high), value| (value.min(low), value.max(high)));
    match (low > high, logarithmic) {
        (true, _) => (0.1, 1.0),
        (false, true) => (low / 1.1, high * 1.1),
        (false, false) => (0.0, (high * 1.3).max(f64::MIN_POSITIVE)),
    }
}

/// Where a curve bends: the first place at which it is more than half again as high as at its start.
pub fn bend(results: &Results, group: &str, name: &str) -> Option<f64> {
    let rows: Vec<&Row> = results.group(group).into_iter().filter(|row| row.name == name).collect();
    let mut points: Vec<(f64, f64)> =
        rows.iter().filter_map(|row| Some((row.at, row.summary()?.median))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let start = points.first()?.1;
    points.iter().find(|(_, figure)| *figure > start * 1.5).map(|(at, _)| *at)
}

impl Curves {
    /// The file's name, made of the group's.
    pub fn file(&self) -> String {
        format!("performance-{}.svg", self.group.replace(": ", "-").replace(' ', "-"))
    }

    /// Writes the chart into a directory, as SVG.
    pub fn draw(&self, results: &Results, directory: &Path) -> Result<(), Box<dyn Error>> {
        let lines = lines(results, self.group);
        let points = || lines.iter().flat_map(|(_, points)| points);
        let (left, right) = ends(points().map(|point| point.0), true);
        let heights = || points().map(|point| point.1[1]);
        let (low, high) = ends(heights(), false);
        let flattest = heights().fold(f64::MAX, f64::min);
        let path = directory.join(self.file());
        let area = SVGBackend::new(&path, SIZE).into_drawing_area();
        area.fill(&PAPER)?;
        let x = (left..right).log_scale();
        // Factors of ten cannot be seen on a linear axis.
        if high > flattest * 12.0 {
            let (low, high) = ends(heights(), true);
            let mut chart =
                frame(&area, self.title).build_cartesian_2d(x, (low..high * 1.3).log_scale())?;
            self.fill(&area, &mut chart, &lines, " (logarithmic)")?;
        } else {
            let mut chart = frame(&area, self.title).build_cartesian_2d(x, low..high)?;
            self.fill(&area, &mut chart, &lines, "")?;
        }
        area.present()?;
        Ok(())
    }

    fn fill<X, Y>(
        &self,
        area: &DrawingArea<SVGBackend, Shift>,
        chart: &mut ChartContext<SVGBackend, Cartesian2d<X, Y>>,
        lines: &[Line],
        scale: &str,
    ) -> Result<(), Box<dyn Error>>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let figure = format!("{}{scale}", self.figure);
        axes(chart, (self.grows, &label), (&figure, &label))?;
        for (at, (name, points)) in lines.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let middle = points.iter().map(|(x, [_, median, _])| (*x, *median));
            chart.draw_series(LineSeries::new(middle.clone(), colour.stroke_width(2)))?;
            chart.draw_series(middle.map(|point| Circle::new(point, 3, colour.filled())))?;
            for (x, [low, _, high]) in points {
                let spread = [(*x, *low), (*x, *high)];
                chart.draw_series([PathElement::new(spread, colour.stroke_width(1))])?;
            }
            // Names at the top left, where rising curves are not.
            let place = (92, 48 + 18 * at as i32);
            let style = ("sans-serif", 13).into_font().color(&colour);
            area.draw(&Text::new(name.clone(), place, style))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_room_for_all_values() {
        let values = [30.0, 10.0, 100.0];
        let (low, high) = ends(values.into_iter(), true);
        assert!(low < 10.0 && low > 9.0 && high > 100.0 && high < 120.0);
        assert_eq!(ends(values.into_iter(), false).0, 0.0);
        assert_eq!(ends([].into_iter(), true), (0.1, 1.0));
    }

    #[test]
    fn a_curve_bends_where_it_is_half_again_as_high() {
        let text = "a\tx\t1\tns\t10\na\tx\t10\tns\t14\na\tx\t100\tns\t16\na\tx\t1000\tns\t90\n\
                    a\tflat\t1\tns\t10\na\tflat\t10\tns\t9\n";
        let results = Results::parse(text).unwrap();
        assert_eq!(bend(&results, "a", "x"), Some(100.0));
        assert_eq!(bend(&results, "a", "flat"), None);
        assert_eq!(bend(&results, "a", "gone"), None);
    }

    #[test]
    fn a_chart_has_a_line_for_each_row() {
        let directory = tempfile::tempdir().unwrap();
        let text = "a: b\tone\t1\tns\t10 12\na: b\tone\t10\tns\t14\na: b\ttwo\t1\tns\t900\na: b\ttwo\t10\tns\t1\n";
        let curves = Curves { group: "a: b", title: "A", grows: "n", figure: "ns" };
        curves.draw(&Results::parse(text).unwrap(), directory.path()).unwrap();
        let drawn = std::fs::read_to_string(directory.path().join("performance-a-b.svg")).unwrap();
        assert!(drawn.contains("one") && drawn.contains("two") && drawn.contains("logarithmic"));
    }
}
