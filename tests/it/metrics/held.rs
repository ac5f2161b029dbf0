//! What a mount holds, as a scrape tells of it.

use rialto::config::EraChoice;

use super::*;

#[tokio::test]
async fn what_a_mount_holds_is_shown_and_let_go_of() {
    let builder =
        rialto::Rialto::builder().mount("old", fixture(LEGACY)).mount("both", fixture("dual").era(EraChoice::Match));
    let app = App::start(builder.local()).await;
    let held = |scrape: &Scrape, mount: &str| {
        let of = |name: &str| scrape.value(name, &[("mount", mount)]);
        (
            of("rialto_upstream_sessions"),
            of("rialto_listeners"),
            of("rialto_upstream_subscriptions"),
            of("rialto_tasks"),
        )
    };
    assert_eq!(held(&app.scrape().await, "old"), (0, 0, 0, 0));
    let modern = Client::connect(&app.mount("old"), MODERN).await;
    modern.call("echo", json!({ "text": "x" })).await.result();
    let sessions = held(&app.scrape().await, "old").0;
    assert!(sessions >= 1, "{sessions}");
    let events = modern.listen().await;
    assert_eq!(held(&app.scrape().await, "old"), (sessions, 1, 1, 0));
    drop(events);
    app.until("nobody to listen", |scrape| held(scrape, "old").1 == 0).await;

    // In front of a server of both eras both ways count.
    let modern = Client::connect(&app.mount("both"), MODERN).await;
    modern.call("echo", json!({ "text": "x" })).await.result();
    let before = held(&app.scrape().await, "both").0;
    let legacy = Client::connect(&app.mount("both"), LEGACY).await;
    legacy.call("echo", json!({ "text": "x" })).await.result();
    let after = held(&app.scrape().await, "both");
    assert!(before >= 1 && after.0 > before, "{before} {after:?}");
    assert_eq!(after.1, 1);
    legacy.close().await;
    app.until("its session to end", |scrape| held(scrape, "both").1 == 0).await;
}
