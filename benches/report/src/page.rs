//! The page, made of a template: lines `{{kind argument}}` become tables, charts and lists.

use crate::content::{BARS, CURVES, TABLES, TARGETS};
use crate::curves::bend;
use crate::facts::Facts;
use crate::samples::Results;
use crate::shown::label;
use crate::tables::Table;
use crate::{parts, targets};

const TEMPLATE: &str = include_str!("../performance.md.in");

const MACHINE: [&str; 8] =
    ["date", "processor", "processors", "caches", "hypervisor", "memory", "system", "busy"];
const VERSIONS: [&str; 14] = [
    "tu-token",
    "C",
    "Rust",
    "Go",
    "Python",
    "libcurl",
    "x/oauth2",
    "MSAL for Go",
    "Authlib",
    "azure-identity",
    "google-auth",
    "google-cloud-auth",
    "msal",
    "requests",
];

/// What is needed to fill in the template.
pub struct Page<'a> {
    pub results: &'a Results,
    pub facts: &'a Facts,
}

impl Page<'_> {
    /// The text of docs/performance.md. The error names a line of the template that asks for something unknown.
    pub fn text(&self) -> Result<String, String> {
        let mut text = String::new();
        for line in TEMPLATE.lines() {
            text += &self.line(line)?;
            text.push('\n');
        }
        Ok(text)
    }

    fn line(&self, line: &str) -> Result<String, String> {
        let Some((before, rest)) = line.split_once("{{") else { return Ok(line.to_owned()) };
        let (order, after) = rest.split_once("}}").ok_or_else(|| format!("no end: {line}"))?;
        let filled = self.fill(order).ok_or_else(|| format!("unknown: {line}"))?;
        Ok(format!("{before}{}{}", filled.trim_end(), self.line(after)?))
    }

    fn fill(&self, order: &str) -> Option<String> {
        let (kind, argument) = order.split_once(' ').unwrap_or((order, ""));
        Some(match kind {
            "targets" => targets::markdown(&TARGETS, self.results),
            "machine" => self.facts.table(&MACHINE),
            "versions" => self.facts.table(&VERSIONS),
            "fact" => self.facts.get(argument).to_owned(),
            "parts" => parts::markdown(self.results),
            "table" => TABLES.iter().find(|table| table.group == argument)?.markdown(self.results),
            "bars" => {
                let bars = BARS.iter().find(|bars| bars.group == argument)?;
                picture(bars.title, bars.file)
            }
            "curve" => {
                let curves = CURVES.iter().find(|curves| curves.group == argument)?;
                picture(curves.title, &curves.file())
            }
            "bend" => {
                let (group, name) = argument.split_once(" / ")?;
                bend(self.results, group, name).map_or_else(
                    || "nowhere: no point is half again as high as the first".to_owned(),
                    |at| format!("at {}", label(&at)),
                )
            }
            "others" => self.others(),
            "network" => self.network(),
            "warning" => {
                warning(self.facts.get("busy"), self.facts.get("processors")).unwrap_or_default()
            }
            _ => return None,
        })
    }

    /// Rows of groups that the template does not know.
    fn others(&self) -> String {
        let is_known = |group: &str| {
            TABLES.iter().any(|table| table.group == group)
                || CURVES.iter().any(|curves| curves.group == group)
                || group.starts_with("parts: ")
                || group.starts_with("memory of")
        };
        let mut groups: Vec<&str> = Vec::new();
        for row in self.results.rows().iter().filter(|row| !is_known(&row.group)) {
            if !groups.contains(&&*row.group) {
                groups.push(&row.group);
            }
        }
        let table = |group: &&str| {
            let rows = self.results.group(group);
            let mut text = format!("\n| {group} | |\n| --- | ---: |\n");
            for row in rows {
                let figure = row.summary().map_or_else(
                    || row.missing.clone().unwrap_or_default(),
                    |summary| Table::figure(&summary) + " " + &row.unit,
                );
                text += &format!("| {} | {figure} |\n", row.name);
            }
            text
        };
        groups.iter().map(table).collect()
    }

    fn network(&self) -> String {
        match self.facts.get("network") {
            "shared" => "No network namespace could be made on this machine: peers could have reached others.",
            _ => "All of it ran in a network namespace of its own, which has only the loopback.",
        }
        .to_owned()
    }
}

/// A warning, if other programs took much of the machine when the run began.
fn warning(busy: &str, processors: &str) -> Option<String> {
    let (busy, all): (f64, f64) = (busy.parse().ok()?, processors.parse().ok()?);
    (busy > all / 4.0).then(|| {
        format!(
            "**Other programs used {busy} of the {all} processors when this run began: the figures \
             are too high, and ratios are not reliable.**"
        )
    })
}

fn picture(title: &str, file: &str) -> String {
    format!("![{title}]({file})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(results: &str) -> String {
        let (results, facts) =
            (Results::parse(results).unwrap(), Facts::parse("date\t2026-01-02\n"));
        Page { results: &results, facts: &facts }.text().unwrap()
    }

    #[test]
    fn the_template_asks_for_nothing_unknown() {
        let page = filled("");
        assert!(page.contains("| date | 2026-01-02 |") && !page.contains("{{"));
    }

    #[test]
    fn every_table_chart_and_group_is_on_the_page() {
        let page = filled("new group\trow\t1\tms\t1.5\n");
        for file in
            BARS.iter().map(|bars| bars.file.to_owned()).chain(CURVES.iter().map(|it| it.file()))
        {
            assert!(page.contains(&file), "{file}");
        }
        for table in &TABLES {
            assert!(
                TEMPLATE.contains(&format!("{{{{table {}}}}}", table.group)),
                "{}",
                table.group
            );
        }
        assert!(
            page.contains("| new group | |\n| --- | ---: |\n| row | 1.50 ± 0.0 % ms |"),
            "{page}"
        );
    }

    #[test]
    fn a_busy_machine_is_a_warning() {
        assert!(warning("1.7", "2").unwrap().contains("used 1.7 of the 2 processors"));
        assert_eq!(warning("0.1", "2"), None);
        assert_eq!(warning("unknown", "2"), None);
    }

    #[test]
    fn the_committed_page_is_of_this_template() {
        let committed = include_str!("../../../docs/performance.md");
        for line in TEMPLATE.lines().filter(|line| !line.contains("{{")) {
            assert!(
                committed.contains(line),
                "run `make bench` again: docs/performance.md has no line `{line}`"
            );
        }
    }
}
