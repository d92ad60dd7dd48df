//! Dates in the three forms of RFC 9110 section 5.6.7, all of which a server may send.

use std::time::{Duration, SystemTime};

const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// A date from 1970 to 9999 whose day of the week is right.
pub(super) fn read(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let (name, rest) = text.split_once([',', ' '])?;
    let is_asctime = text.as_bytes()[name.len()] == b' ';
    // What stands where, of "Nov  6 08:49:37 1994", " 06 Nov 1994 08:49:37 GMT" and
    // " 06-Nov-94 08:49:37 GMT".
    let (form, day, month, year, time) = match (is_asctime, name.len()) {
        (true, 3) => ("??? ?? ??:??:?? ????", 4, 0, 16..20, 7),
        (false, 3) => (" ?? ??? ???? ??:??:?? GMT", 1, 4, 8..12, 13),
        (false, 6..) => (" ??-???-?????:??:?? GMT", 1, 4, 8..10, 11),
        _ => return None,
    };
    let rest = rest.as_bytes();
    let fits = |(byte, form): (&u8, u8)| form == b'?' || *byte == form;
    if rest.len() != form.len() || !rest.iter().zip(form.bytes()).all(fits) {
        return None;
    }
    let number = |from: usize, end: usize| {
        rest[from..end].iter().try_fold(0, |number, byte| {
            Some(10 * number + u64::from(char::from(*byte).to_digit(10)?))
        })
    };
    let is_padded = is_asctime && rest[day] == b' ';
    let day = number(day + usize::from(is_padded), day + 2)?;
    let year = match number(year.start, year.end)? {
        short @ ..70 if year.len() == 2 => 2000 + short,
        short if year.len() == 2 => 1900 + short,
        year => year,
    };
    let named = &rest[month..month + 3];
    let month = MONTHS.as_bytes().chunks(3).position(|name| name == named)?;
    let [hour, minute, second] =
        [0, 3, 6].map(|place| number(time + place, time + place + 2).unwrap_or(u64::MAX));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = |month: usize| match month {
        1 => 28 + u64::from(is_leap),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    if !(1970..=9999).contains(&year) || !(1..=length(month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Since year 0, then since 1970.
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let days = 365 * (year - 1970) + leaps(year - 1) - leaps(1969);
    let days = days + (0..month).map(length).sum::<u64>() + day - 1;
    let week_day = DAYS[(days % 7) as usize];
    let is_right = if name.len() == 3 { &week_day[..3] == name } else { week_day == name };
    let seconds = ((24 * days + hour) * 60 + minute) * 60 + second;
    is_right.then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What another implementation says.
    fn expected(text: &str) -> Option<SystemTime> {
        httpdate::parse_http_date(text).ok()
    }

    fn in_all_forms(seconds: u64) -> [String; 3] {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let fixed = httpdate::fmt_http_date(at);
        let (day, month) = (&fixed[5..7], &fixed[8..11]);
        let (year, time) = (&fixed[12..16], &fixed[17..25]);
        let name = DAYS.into_iter().find(|name| fixed.starts_with(&name[..3])).unwrap();
        [
            format!("{name}, {day}-{month}-{} {time} GMT", &year[2..]),
            format!("{} {month} {:>2} {time} {year}", &name[..3], day.trim_start_matches('0')),
            fixed,
        ]
    }

    #[test]
    fn dates_are_read_in_every_form() {
        for day in (0..(9999 - 1970) * 365).step_by(23) {
            let at = day * 86_400 + day % 86_400;
            for text in in_all_forms(at) {
                let read = read(&text);
                assert_eq!(read, expected(&text), "{text}");
                assert!(read.is_some() || text.contains("day, "), "{text}");
            }
        }
    }

    #[test]
    fn no_other_text_is_a_date() {
        for text in [
            "",
            "Sun",
            "Sun, ",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun,  6 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 2023 00:00:00 GMT",
            "Wed, 31 Dec 1969 00:00:00 GMT",
            "Sunda, 06-Nov-94 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 0 08:49:37 1994",
            "Sun, 06 \u{f6}v 1994 08:49:37 GMT",
            "S\u{fc}, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!((read(text), expected(text)), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn with_a_byte_changed_it_is_what_others_read(
            seconds in 0..253_402_300_800_u64, form in 0..3_usize, place in any::<prop::sample::Index>(),
            byte in prop::sample::select(&b"0129 :-,aGMTJFSu+\t"[..]),
        ) {
            let mut text = in_all_forms(seconds)[form].clone().into_bytes();
            let place = place.index(text.len());
            text[place] = byte;
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(read(&text), expected(&text), "{}", text);
        }
    }
}
