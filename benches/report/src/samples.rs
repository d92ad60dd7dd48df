//! The result files: one line a row, its fields separated by tabs.
//!
//! ```text
//! group  row  at  unit  round round round ...
//! ```
//!
//! `group` is the table that the row belongs to (`c`, `python`, `cold`); `at` is where it was measured: a
//! number of threads, clients, bytes; the rounds are separated by spaces. Rounds of lines with the same
//! group, row and `at` belong together, so a program may be run several times, alternating with others.
//!
//! A row that could not be measured has `-` as its unit, and the reason in the place of its rounds.

use crate::median::Summary;

/// One row at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub group: String,
    pub name: String,
    pub at: f64,
    pub unit: String,
    pub rounds: Vec<f64>,
    /// Why it could not be measured.
    pub missing: Option<String>,
}

impl Row {
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(&self.rounds)
    }
}

/// All rows, in the order of their first lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results(Vec<Row>);

impl Results {
    /// Reads the text of a result file. The error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut results = Self::default();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let row = parse_line(line).map_err(|error| format!("line {}: {error}", at + 1))?;
            results.add(row);
        }
        Ok(results)
    }

    fn add(&mut self, row: Row) {
        let is_same = |other: &&mut Row| {
            (&other.group, &other.name, other.at) == (&row.group, &row.name, row.at)
        };
        match self.0.iter_mut().find(is_same) {
            Some(other) => other.rounds.extend(row.rounds),
            None => self.0.push(row),
        }
    }

    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// The rows of a group, in their order.
    pub fn group(&self, group: &str) -> Vec<&Row> {
        self.0.iter().filter(|row| row.group == group).collect()
    }

    pub fn row(&self, group: &str, name: &str, at: f64) -> Option<&Row> {
        let is_it = |row: &&Row| (&*row.group, &*row.name, row.at) == (group, name, at);
        self.0.iter().find(is_it)
    }
}

fn parse_line(line: &str) -> Result<Row, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[group, name, at, unit, rounds] = fields.as_slice() else {
        return Err(format!("5 fields separated by tabs are needed, not {}: {line}", fields.len()));
    };
    let number = |text: &str| {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("'{text}' is not a number: {line}"))
    };
    let missing = (unit == "-").then(|| rounds.to_owned());
    let rounds: Vec<f64> = match missing {
        Some(_) => Vec::new(),
        None => rounds.split_whitespace().map(number).collect::<Result<_, _>>()?,
    };
    if missing.is_none() && rounds.is_empty() {
        return Err(format!("no rounds: {line}"));
    }
    Ok(Row {
        group: group.to_owned(),
        name: name.to_owned(),
        at: number(at)?,
        unit: unit.to_owned(),
        rounds,
        missing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_of_several_runs_belong_together() {
        let text = "c\tcopy\t1\tns\t29.5 30\nc\tcopy\t2\tns\t31\n\nc\tcopy\t1\tns\t28.5\n";
        let results = Results::parse(text).unwrap();
        let [one, two] = results.rows() else { panic!("{results:?}") };
        assert_eq!((one.at, &*one.rounds), (1.0, [29.5, 30.0, 28.5].as_slice()));
        assert_eq!((two.at, &*two.unit), (2.0, "ns"));
    }

    #[test]
    fn a_row_that_could_not_be_measured_says_why() {
        let results = Results::parse("python\tMSAL\t1\t-\tpip could not install it").unwrap();
        let row = &results.rows()[0];
        assert_eq!(row.missing.as_deref(), Some("pip could not install it"));
        assert!(row.summary().is_none());
    }

    #[test]
    fn a_broken_line_is_named() {
        for (text, reason) in [
            ("c\tcopy\t1\tns\t1\nc\tcopy\tns\t29.5", "line 2: 5 fields"),
            ("c\tcopy\tone\tns\t29.5", "'one' is not a number"),
            ("c\tcopy\t1\tns\t29,5", "'29,5' is not a number"),
            ("c\tcopy\t1\tns\tNaN", "'NaN' is not a number"),
            ("c\tcopy\t1\tns\t", "no rounds"),
        ] {
            let error = Results::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
