//! Human-readable times and counts.

use maud::{Markup, html};

/// A point in time. The script turns it into "3 min ago"; without the script the date is shown.
pub(super) fn ago(rfc3339: &str) -> Markup {
    let text = format!("{} {} UTC", part(rfc3339, 0, 10), part(rfc3339, 11, 16));
    html! { time datetime=(rfc3339) data-show="ago" { (text) } }
}

/// The time of day of a request, to the millisecond. The script turns it into local time.
pub(super) fn time_of_day(rfc3339: &str) -> Markup {
    html! { time datetime=(rfc3339) data-show="time" { (part(rfc3339, 11, 23)) } }
}

/// A part of a text; empty if the text is too short.
fn part(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// `1 request`, `2 requests`
pub(super) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable_without_a_script() {
        let time = "2026-01-31T12:34:56.789Z";
        assert!(ago(time).into_string().contains(">2026-01-31 12:34 UTC<"));
        assert!(time_of_day(time).into_string().contains(">12:34:56.789<"));
        assert_eq!((counted(1, "key"), counted(0, "key")), ("1 key".into(), "0 keys".into()));
    }
}
