use super::*;

fn unescaped(text: &str) -> String {
    let furthest = Readings::of(text.as_bytes()).unwrap().unescaped();
    let layers = layers(solid(text.as_bytes(), Plus::Blank), Plus::Blank);
    assert_eq!(layers.last(), Some(&furthest), "layer by layer, or place by place");
    String::from_utf8(furthest).unwrap()
}

#[test]
fn every_escape_is_read_and_blanks_are_skipped() {
    for text in [
        "a/b",
        "a%2Fb",
        "a%2fb",
        "%61%2F%62",
        "a%252Fb",
        "a%25252fb",
        "a%u002Fb",
        r"a\/b",
        r"a\u002Fb",
        r"a\U002fb",
        r"a\u{2f}b",
        r"a\x2Fb",
        r"a\057b",
        r"a\\/b",
        r"a\\\/b",
        r"\u0061\u002f\u0062",
        r"a\u00252Fb",
        "a%5Cu002Fb",
        "a&sol;b",
        "a&SOL;b",
        "a&#47;b",
        "a&#0047;b",
        "a&#x2F;b",
        "a&#X2f;b",
        "a&#x002f;b",
        "a&amp;#47;b",
        "a&amp;sol;b",
        "a%26%2347%3Bb",
        "a&#37;2Fb",
        r"a\u0026sol;b",
        "a / b",
        "a%20/%0d%0ab",
        r"a\n/\r\nb",
        "a&nbsp;/<br>b",
        "a&#8203;/\u{200b}\u{ad}b",
        "a%2 F b",
        "a%2%0AFb",
        "a+/%2Bb",
        "a%2+Fb",
        "a%C2%A0/%e2%80%8b%EF%BB%BFb",
        r"a/\342\200\250b",
        "a%25C2%A0/b",
        "a&ensp;/&zwnj;b",
    ] {
        assert_eq!(unescaped(text), "a/b", "{text}");
    }
    assert_eq!(unescaped(r"caf\u00e9 caf%C3%A9 caf&#233;"), "caf\u{e9}caf\u{e9}caf\u{e9}");
}

#[test]
fn a_surrogate_is_read_with_its_other_half() {
    for text in [
        r"x\ud83d\ude00",
        "x%uD83D%uDE00",
        "x%ED%A0%BD%ED%B8%80",
        "x&#128512;",
        "x&#55357;&#56832;",
    ] {
        assert_eq!(unescaped(text), "x\u{1f600}", "{text}");
    }
    let readings = Readings::of(br"\ud83dx\ude00").unwrap();
    assert!(
        readings.starts().all(|place| readings.at(place).iter().all(|(byte, _)| *byte != 0xf0))
    );
    assert_eq!(unescaped("&eacute;&szlig"), "\u{e9}\u{df}");
}

#[test]
fn two_halves_of_the_same_kind_are_no_character() {
    for text in [r"\ud83d\ud83d", r"\ude00\ude00"] {
        let readings = Readings::of(text.as_bytes()).unwrap();
        let has_begun = |place| readings.at(place).iter().any(|(byte, _)| *byte >= 0xf0);
        assert!(!readings.starts().any(has_begun), "{text}");
    }
}

#[test]
fn a_number_beyond_unicode_is_no_character() {
    for text in ["&#x110000;", "&#1114112;", r"\u{110000}"] {
        let readings = Readings::of(text.as_bytes()).unwrap();
        assert!(!readings.at(0).iter().any(|(byte, _)| *byte == 0xed), "{text}");
    }
}

#[test]
fn complete_escapes_are_those_of_json() {
    for (text, whole, written) in [
        (r"a\nb", "ab", "ab"),
        (r"a\Nb", r"a\Nb", "ab"),
        (r"a\057b", r"a\057b", "a/b"),
        (r#"a\"b"#, r#"a"b"#, r#"a"b"#),
        (r"a\/b", "a/b", "a/b"),
        (r"a\-b", r"a\-b", "a-b"),
        (r"a\zb", r"a\zb", r"a\zb"),
    ] {
        let read =
            |escapes| Readings::with(text.as_bytes(), escapes, Plus::Sign).unwrap().unescaped();
        assert_eq!(read(Escapes::Whole), whole.as_bytes(), "{text}");
        assert_eq!(read(Escapes::Written), written.as_bytes(), "{text}");
    }
}

#[test]
fn a_plus_is_a_sign_or_a_blank() {
    let last = |plus| layers(solid(b"a+%2B&plus;b", plus), plus).pop().unwrap();
    assert_eq!((last(Plus::Sign), last(Plus::Blank)), (b"a+++b".to_vec(), b"ab".to_vec()));
}

#[test]
fn text_without_escapes_stays() {
    for text in ["100%", "%2", "%zz", "a&b", "&;", "&#;", "&#x;", r"C:\dir", r"\u12", "<b>", "\\"] {
        assert_eq!(unescaped(text), text);
    }
}

#[test]
fn a_position_has_every_reading() {
    let readings = Readings::of(b"%252F").unwrap();
    assert_eq!(readings.at(0), [(b'%', 1), (b'%', 3), (b'/', 5)]);
    assert_eq!(readings.at(3), [(b'2', 4)]);
    assert!(readings.at(5).is_empty());
}

#[test]
fn too_ambiguous_texts_are_given_up() {
    let deep = format!("%{}2F", "25".repeat(200));
    assert!(Readings::of(deep.as_bytes()).is_none());
    assert!(Readings::of("%0A".repeat(200).as_bytes()).is_none());

    // However many more than the limit.
    let mut readings = Readings::of(b"1").unwrap();
    assert!(readings.another_digit(&vec![(0, 0); MOST + 8], 16).is_empty());
    assert!(readings.is_confused);
}
