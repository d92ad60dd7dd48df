//! Keys on the page: created, used, rotated, revoked, refused.

use tu_token::ErrorKind;
use tu_token_browser_tests::{Page, until};
use tu_token_emulator::NewKey;

/// The text of a secret is nowhere in the document, not even in a field.
fn knows_nothing_of(page: &Page, secret: &str) -> bool {
    let script = "return document.documentElement.outerHTML.includes(arguments[0])
        || [...document.querySelectorAll('input')].some((input) => input.value.includes(arguments[0])) ? 1 : 0";
    page.number(script, secret) == 0
}

fn minted(page: &Page, name: &str) -> String {
    let script = "const row = [...document.querySelectorAll('#keys > .key')]
        .find((row) => row.querySelector('h3').textContent === arguments[0]);
        return Number(row.querySelector('.facts dd').textContent)";
    page.number(script, name).to_string()
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_key_is_made_used_rotated_and_revoked() {
    let page = Page::open();
    page.ask_for_key("reports", "nightly, for the office", "fleet.view  extra");
    let first = page.shown();
    assert!(page.text("#exports").contains(&first.secret));
    page.saved();
    until("the key is listed", || page.text("#keys").contains("reports"));
    for part in ["nightly, for the office", "asset.view", "fleet.view", "extra"] {
        assert!(page.text("#keys").contains(part), "{part}");
    }
    assert!(knows_nothing_of(&page, &first.secret));
    assert!(page.has("#no-requests"));

    assert_eq!(minted(&page, "reports"), "0");
    page.mint(&first).expect("a token");
    until("the request is in the journal", || page.text("#requests .who").contains("reports"));
    assert!(page.text("#requests .answer").starts_with("200"));
    until("the token is counted", || minted(&page, "reports") == "1");
    assert!(knows_nothing_of(&page, &first.secret));

    page.confirm("rotate", &first.id);
    let second = page.shown();
    assert!(second.id == first.id && second.secret != first.secret);
    page.saved();
    let refused = page.mint(&first).expect_err("the old secret is refused");
    assert_eq!(refused.kind(), ErrorKind::InvalidClient);
    page.mint(&second).expect("a token for the new secret");
    until("the second token is counted", || minted(&page, "reports") == "2");
    until("the refusal is shown", || page.text("#requests").contains("401"));

    page.confirm("revoke", &first.id);
    until("the key is not active any more", || !page.text("#keys").contains("reports"));
    until("it is among the revoked", || page.text("#revoked summary") == "1 revoked key");
    page.mint(&second).expect_err("a revoked key gets nothing");

    page.is_clean();
    page.reload();
    assert!(!page.has("dialog[open]"));
    assert!(knows_nothing_of(&page, &first.secret) && knows_nothing_of(&page, &second.secret));
    page.is_clean();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_eleventh_key_is_refused_with_the_reason() {
    let page = Page::open();
    for number in page.emulator.keys().len()..10 {
        page.emulator
            .create_key(NewKey::new(format!("key {number}"), "asset.view"))
            .expect("a key");
    }
    until("all ten are listed", || page.text("#keys-count") == "10 of 10");
    page.ask_for_key("one too many", "", "");
    until("the reason is shown", || page.text("#create-error").contains("10"));
    assert!(page.has("#create[open]"), "what was typed is still there");
    assert_eq!(page.value("#key-name"), "one too many");
    assert_eq!(page.emulator.keys().len(), 10);
    // A browser notes the refusal itself.
    let lines = page.browser.console();
    assert!(
        lines.len() == 1 && lines[0].contains("/api-keys") && lines[0].contains("409"),
        "{lines:?}"
    );
    page.loads_nothing_else();
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn markup_in_a_name_is_text() {
    let page = Page::open();
    let odd = "<img src=x onerror=\"window.ran=1\">";
    page.ask_for_key(odd, odd, "");
    let key = page.shown();
    assert!(page.text("#secret-title").ends_with(odd));
    page.saved();
    until("the key is listed", || page.text("#keys").contains(odd));
    page.mint(&key).expect("a token");
    until("the request is listed", || page.text("#requests .who").contains(odd));
    page.browser.click(&format!("[data-action=revoke][data-id='{}']", key.id));
    assert!(page.text("#confirm-title").contains(odd));
    page.browser.click("#confirm-yes");
    until("it is said", || page.text("#toast").contains(odd));
    until("it is among the revoked", || page.has("#revoked"));
    page.browser.click("#revoked summary");
    assert!(page.text("#revoked h3").contains(odd));
    page.reload();
    assert!(!page.has("main img") && !page.has("dialog img") && !page.has("#toast img"));
    assert_eq!(page.number("return window.ran ?? 0", ""), 0);
    page.is_clean();
}
