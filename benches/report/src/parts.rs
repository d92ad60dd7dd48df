//! Where the time of the first token goes: differences between runs that have one part less each.

use crate::samples::{Results, Row};
use crate::shown::number;

/// The runs, from all of it down to the least, and the part that each has and the next has not.
const RUNS: [(&str, &str, &str); 5] = [
    ("tls: first", "tu-token, C", "the system's trust store: read, searched"),
    ("parts: first", "one certificate", "TLS: configuration, handshake, encryption"),
    ("parts: first", "plain", "the host's name: a thread that asks the resolver"),
    (
        "parts: first",
        "plain, to an address",
        "the library: the client, its first worker thread, handing over the token",
    ),
    ("parts: first", "the socket calls alone", "the connection and the endpoint's answer"),
];

/// The table in Markdown.
pub fn markdown(results: &Results) -> String {
    let median = |(group, name, _): &(&str, &str, &str)| {
        Some(results.row(group, name, 1.0).and_then(Row::summary)?.median)
    };
    let Some(all) = median(&RUNS[0]) else { return "Not measured.\n".to_owned() };
    let mut text = "| part | ms | share |\n| --- | ---: | ---: |\n".to_owned();
    for (at, run) in RUNS.iter().enumerate() {
        let rest = RUNS.get(at + 1).map_or(Some(0.0), median);
        let Some(took) = median(run).zip(rest).map(|(with, without)| with - without) else {
            text += &format!("| {} | not measured | |\n", run.2);
            continue;
        };
        text += &format!("| {} | {} | {:.0} % |\n", run.2, number(took), took / all * 100.0);
    }
    text + &format!("| **all** | {} | 100 % |\n", number(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_up_the_whole() {
        let figures = [5.0, 1.5, 0.75, 0.5, 0.25];
        let lines: String = RUNS
            .iter()
            .zip(figures)
            .map(|((group, name, _), figure)| format!("{group}\t{name}\t1\tms\t{figure}\n"))
            .collect();
        let table = markdown(&Results::parse(&lines).unwrap());
        for line in
            ["searched | 3.50 | 70 % |", "encryption | 0.75 | 15 % |", "answer | 0.25 | 5 % |"]
        {
            assert!(table.contains(line), "{table}");
        }
        assert!(table.ends_with("| **all** | 5.00 | 100 % |\n"));
        assert_eq!(markdown(&Results::default()), "Not measured.\n");
    }
}
