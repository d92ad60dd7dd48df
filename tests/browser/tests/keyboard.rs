//! The page without a mouse.

use tu_token_browser_tests::{Page, until};

const TAB: char = '\u{e004}';
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Presses Tab until an element has the focus.
fn tab_to(page: &Page, selector: &str) {
    for _ in 0..60 {
        if page.number("return document.activeElement.matches(arguments[0]) ? 1 : 0", selector) == 1
        {
            return;
        }
        page.browser.press(&TAB.to_string());
    }
    panic!("Tab never reaches {selector}");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_key_is_made_with_tab_enter_and_escape() {
    let page = Page::open();
    tab_to(&page, "#new-key");
    page.browser.press(ENTER);
    assert_eq!(page.focus(), "#key-name");
    page.browser.press("given up");
    page.browser.press(ESCAPE);
    until("Escape closes the dialog", || !page.has("dialog[open]"));
    until("the focus is where it was", || page.focus() == "#new-key");

    page.browser.press(ENTER);
    assert_eq!(page.value("#key-name"), "", "a new dialog is empty");
    page.browser.press("by hand");
    tab_to(&page, "#key-description");
    page.browser.press("typed");
    tab_to(&page, "#scope-1");
    page.browser.press(" ");
    tab_to(&page, "#create [type=submit]");
    page.browser.press(ENTER);

    let key = page.shown();
    // The secret, shown only once, does not disappear by pressing Escape, however often.
    for _ in 0..3 {
        page.browser.press(ESCAPE);
    }
    assert_eq!(page.shown(), key);
    tab_to(&page, "#secret [data-close]");
    page.browser.press(ENTER);
    until("the dialog is closed", || !page.has("dialog[open]"));
    until("the focus is in the page", || page.focus() != "body");

    let keys = page.emulator.keys();
    let made = keys.iter().find(|key| key.name == "by hand").expect("the key");
    assert_eq!((made.description.as_str(), made.scopes.len()), ("typed", 2));
    assert!(!keys.iter().any(|key| key.name == "given up"));
    page.is_clean();
}
