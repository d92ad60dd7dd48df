//! The tables of the page: which rows they have, and what those are compared with.

use crate::median::Summary;
use crate::samples::{Results, Row};
use crate::shown::number;

/// A group of rows as a table, with a column for each place where they were measured.
pub struct Table {
    pub group: &'static str,
    /// The heading of a column: "1 thread", or "" if all rows were measured at one place.
    pub column: fn(f64) -> String,
    /// Whether a row is this library's.
    pub is_ours: fn(&str) -> bool,
    /// The row of this library that peers are compared with.
    pub main: &'static str,
    /// Lower bounds for comparison. They hand out no token, so they cannot be ahead.
    pub floors: &'static [&'static str],
}

impl Table {
    /// The table in Markdown. A peer that is ahead of the main row is marked.
    pub fn markdown(&self, results: &Results) -> String {
        let rows = results.group(self.group);
        if rows.is_empty() {
            return "Not measured.\n".to_owned();
        }
        let columns = places(&rows);
        let unit = rows.iter().find(|row| row.missing.is_none()).map_or("", |row| &row.unit);
        let mut text = format!("| {unit} |");
        for at in &columns {
            text += &format!(" {} | |", (self.column)(*at));
        }
        text += &format!("\n| --- |{}\n", " ---: | ---: |".repeat(columns.len()));
        for name in names(&rows) {
            text += &self.row(name, &columns, results);
        }
        text
    }

    fn row(&self, name: &str, columns: &[f64], results: &Results) -> String {
        let shown = if (self.is_ours)(name) { format!("**{name}**") } else { name.to_owned() };
        let missing = results.group(self.group).into_iter().find(|row| row.name == name);
        if let Some(why) = missing.and_then(|row| row.missing.as_deref()) {
            return format!("| {shown} | {why} |{}\n", " |".repeat(columns.len() * 2 - 1));
        }
        let cells = columns.iter().map(|at| self.cells(name, *at, results)).collect::<String>();
        format!("| {shown} |{cells}\n")
    }

    /// A median with its spread.
    pub fn figure(summary: &Summary) -> String {
        let percent = summary.spread() * 100.0;
        let digits = if percent < 1.0 { 1 } else { 0 };
        format!("{} ± {percent:.digits$} %", number(summary.median))
    }

    /// The median with its spread, and how many times the main row it is.
    fn cells(&self, name: &str, at: f64, results: &Results) -> String {
        let median = |name| results.row(self.group, name, at).and_then(Row::summary);
        let Some(summary) = median(name) else { return " | |".to_owned() };
        let figure = Self::figure(&summary);
        let times = match median(self.main) {
            Some(main) if name != self.main => {
                let times = summary.median / main.median;
                let is_ahead = times < 0.995 && !(self.is_ours)(name);
                let is_floor = self.floors.contains(&name);
                let mark = match (is_floor, is_ahead) {
                    (true, _) => " (floor)",
                    (false, true) => " ◀ ahead",
                    (false, false) => "",
                };
                format!("{times:.2}x{mark}")
            }
            _ => String::new(),
        };
        format!(" {figure} | {times} |")
    }
}

/// The names of some rows, each once.
pub fn names<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&&*row.name) {
            names.push(&row.name);
        }
    }
    names
}

/// All places of some rows, in rising order.
pub fn places(rows: &[&Row]) -> Vec<f64> {
    let mut places: Vec<f64> = rows.iter().map(|row| row.at).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        group: "c",
        column: |at| format!("{at} threads"),
        is_ours: |name| name == "ours",
        main: "ours",
        floors: &["clock"],
    };

    fn markdown(text: &str) -> String {
        TABLE.markdown(&Results::parse(text).unwrap())
    }

    #[test]
    fn a_peer_that_is_ahead_is_marked_and_a_floor_is_not() {
        let text = "c\tours\t1\tns\t10\nc\tfast\t1\tns\t8\nc\tclock\t1\tns\t2\nc\tslow\t1\tns\t2000 2000\n";
        assert_eq!(
            markdown(text),
            "| ns | 1 threads | |\n| --- | ---: | ---: |\n\
             | **ours** | 10.0 ± 0.0 % |  |\n\
             | fast | 8.00 ± 0.0 % | 0.80x ◀ ahead |\n\
             | clock | 2.00 ± 0.0 % | 0.20x (floor) |\n\
             | slow | 2,000 ± 0.0 % | 200.00x |\n"
        );
    }

    #[test]
    fn what_could_not_be_measured_stays_a_row() {
        let text = "c\tours\t1\tns\t10\nc\tours\t2\tns\t11\nc\tpeer\t1\t-\tnot available: no network\n\
                    c\thalf\t1\tns\t20\n";
        let table = markdown(text);
        assert!(table.contains("\n| peer | not available: no network | | | |\n"), "{table}");
        assert!(table.contains("\n| half | 20.0 ± 0.0 % | 2.00x | | |\n"), "{table}");
        assert_eq!(markdown("go\tx\t1\tns\t1"), "Not measured.\n");
    }
}
