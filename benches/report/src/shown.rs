//! How figures are written.

/// Three digits that count, without an exponent: 0.85, 4.21, 52.3, 1,248.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 99.95 => thousands(value.round()),
        _ if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(whole: f64) -> String {
    let digits = format!("{:.0}", whole.abs());
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    if whole < 0.0 { format!("-{shown}") } else { shown }
}

/// A number of an axis, as short as it can be: 0.5, 10, 16,384, 10 M.
pub fn label(value: &f64) -> String {
    match *value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1000.0 => thousands(value.round()),
        // Without the remainders of repeated additions.
        value => ((value * 1000.0).round() / 1000.0).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        for (value, shown) in [
            (0.0, "0.00"),
            (0.846, "0.85"),
            (4.213, "4.21"),
            (9.996, "10.0"),
            (52.34, "52.3"),
            (99.96, "100"),
            (1_248.3, "1,248"),
            (-1_234_567.0, "-1,234,567"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn labels_are_short() {
        for (value, shown) in
            [(0.1 + 0.2, "0.3"), (100.0, "100"), (16_384.0, "16,384"), (1e7, "10 M")]
        {
            assert_eq!(label(&value), shown);
        }
    }
}
