//! What the library aims at, and whether the figures meet it.

use crate::samples::{Results, Row};
use crate::shown::number;

/// Where a figure is: group, row, place.
pub type Place = (&'static str, &'static str, f64);

/// A bound on a figure.
pub enum Bound {
    /// At most this many times another row.
    Times(Place, f64),
    /// At most this, in the row's unit.
    AtMost(f64),
}

/// A target: what it says, the figure, its bound.
pub struct Target(pub &'static str, pub Place, pub Bound);

fn median((group, name, at): Place, results: &Results) -> Option<f64> {
    results.row(group, name, at).and_then(Row::summary).map(|summary| summary.median)
}

impl Target {
    /// The figure as it compares with the bound, and whether it is within it. `None` if it was not measured.
    fn measured(&self, results: &Results) -> Option<(String, bool)> {
        let figure = median(self.1, results)?;
        match self.2 {
            Bound::Times(other, most) => {
                let times = figure / median(other, results)?;
                Some((format!("{times:.2}x"), times <= most))
            }
            Bound::AtMost(most) => {
                let unit = &results.row(self.1.0, self.1.1, self.1.2)?.unit;
                Some((format!("{} {unit}", number(figure)), figure <= most))
            }
        }
    }

    fn bound(&self) -> String {
        match self.2 {
            Bound::Times((_, name, at), most) => {
                // Of its own row at another place: that it is flat.
                if name == self.1.1 {
                    format!("{most}x of {at}")
                } else {
                    format!("{most}x {name}")
                }
            }
            Bound::AtMost(most) => number(most),
        }
    }
}

/// The table of targets in Markdown.
pub fn markdown(targets: &[Target], results: &Results) -> String {
    let mut text = "| | target | measured | |\n| --- | ---: | ---: | --- |\n".to_owned();
    for target in targets {
        let (measured, verdict) = match target.measured(results) {
            Some((measured, true)) => (measured, "met"),
            Some((measured, false)) => (measured, "**not met**"),
            None => (String::new(), "not measured"),
        };
        text += &format!("| {} | {} | {measured} | {verdict} |\n", target.0, target.bound());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let results =
            Results::parse("c\tcopy\t1\tns\t30\nc\tcopy\t2\tns\t36\nc\thand\t1\tns\t40\n");
        let copy = ("c", "copy", 1.0);
        let targets = [
            Target("`copy`", copy, Bound::Times(("c", "hand", 1.0), 0.75)),
            Target("flat", ("c", "copy", 2.0), Bound::Times(copy, 1.1)),
            Target("fast", copy, Bound::AtMost(29.0)),
            Target("gone", ("c", "gone", 1.0), Bound::AtMost(29.0)),
        ];
        assert_eq!(
            markdown(&targets, &results.unwrap()).lines().skip(2).collect::<Vec<_>>(),
            [
                "| `copy` | 0.75x hand | 0.75x | met |",
                "| flat | 1.1x of 1 | 1.20x | **not met** |",
                "| fast | 29.0 | 30.0 ns | **not met** |",
                "| gone | 29.0 |  | not measured |",
            ]
        );
    }
}
