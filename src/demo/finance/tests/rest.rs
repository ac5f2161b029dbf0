//! The REST routes. Every answer is checked against the OpenAPI document on the way.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Fixture, Reply};

fn kind(reply: &Reply) -> &str {
    reply.body["type"].as_str().and_then(|t| t.rsplit(':').next()).unwrap_or_default()
}

fn ids(reply: &Reply) -> Vec<&str> {
    let invoices = reply.body["invoices"].as_array().expect("invoices");
    invoices.iter().map(|invoice| invoice["id"].as_str().expect("a number")).collect()
}

fn sale() -> Value {
    json!({
        "kind": "sale", "counterparty": "Nordlicht Optik GmbH", "description": "One laser level", "account": "main",
        "amount_cents": 6_250,
    })
}

#[tokio::test]
async fn accounts_are_listed_and_read() {
    let fixture = Fixture::new();
    let list = fixture.get("/accounts").await;
    let accounts = list.body["accounts"].as_array().expect("accounts");
    assert_eq!(accounts.len(), 4);
    for account in accounts {
        let one = fixture.get(&format!("/accounts/{}", account["id"].as_str().expect("a name"))).await;
        assert_eq!(&one.body, account);
        assert!(account["balance"]["cents"].is_i64());
    }
    for name in ["savings", "Main", "%20", "%ff"] {
        let reply = fixture.get(&format!("/accounts/{name}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{name}");
    }
}

#[tokio::test]
async fn invoices_are_paged_to_the_last_and_none_comes_twice() {
    let fixture = Fixture::new();
    let (mut all, mut path) = (Vec::new(), "/invoices?limit=9".to_owned());
    loop {
        let page = fixture.get(&path).await;
        all.extend(ids(&page).into_iter().map(str::to_owned));
        // What is added meanwhile stands before the first page, and disturbs none.
        assert_eq!(fixture.post("/invoices", &sale()).await.status, StatusCode::CREATED);
        match page.body["next"].as_str() {
            Some(next) => path = format!("/invoices?limit=9&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(all.len(), 43);
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    assert_eq!(ids(&fixture.get("/invoices").await).len(), 20, "the usual page");
    assert_eq!(ids(&fixture.get("/invoices?cursor=2026-0001").await).len(), 0);
}

#[tokio::test]
async fn invoices_are_filtered() {
    let fixture = Fixture::new();
    for (query, has, lacks) in [
        ("status=paid&limit=100", "2026-0001", "2026-0017"),
        ("status=overdue&limit=100", "2026-0017", "2026-0043"),
        ("status=open&limit=100", "2026-0043", "2026-0017"),
        ("account=pound&limit=100", "2026-0005", "2026-0017"),
        ("kind=purchase&limit=100", "2026-0002", "2026-0017"),
        ("month=2026-08&limit=100", "2026-0017", "2026-0043"),
        ("kind=sale&month=2026-08&status=overdue&account=main", "2026-0017", "2026-0018"),
    ] {
        let page = fixture.get(&format!("/invoices?{query}")).await;
        assert!(ids(&page).contains(&has) && !ids(&page).contains(&lacks), "{query}: {:?}", ids(&page));
    }
    let statuses = ["open", "overdue", "paid"].map(|status| format!("/invoices?limit=100&status={status}"));
    let mut count = 0;
    for path in &statuses {
        count += ids(&fixture.get(path).await).len();
    }
    assert_eq!(count, 43, "every invoice has one status");
}

#[tokio::test]
async fn wrong_queries_are_problems() {
    let fixture = Fixture::new();
    for query in [
        "limit=0",
        "limit=101",
        "limit=many",
        "limit=-1",
        "limit=",
        "status=late",
        "status=",
        "status=open&status=paid",
        "account=savings",
        "month=2026-13",
        "month=2026-1",
        "month=%2B026-01",
        "cursor=17",
        "cursor=2026-%2B017",
        "page=2",
        "%ff=1",
    ] {
        let reply = fixture.get(&format!("/invoices?{query}")).await;
        assert_eq!((reply.status, kind(&reply)), (StatusCode::BAD_REQUEST, "invalid-query"), "{query}: {reply:?}");
    }
}

#[tokio::test]
async fn a_new_invoice_can_be_read_where_it_says() {
    let fixture = Fixture::new();
    let created = fixture.post("/invoices", &sale()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.body["id"], "2026-0044");
    assert_eq!((&created.body["issued"], &created.body["due"]), (&json!("2026-11-20"), &json!("2026-12-20")));
    assert_eq!(created.body["status"], "open");
    let location = created.headers[header::LOCATION].to_str().expect("a path");
    let read = fixture.get(location.strip_prefix("/api/finance").expect("one of these paths")).await;
    assert_eq!(read.body, created.body);
}

#[tokio::test]
async fn invoices_that_do_not_fit_are_refused() {
    let fixture = Fixture::new();
    let with = |name: &str, value: Value| {
        let mut invoice = sale();
        invoice[name] = value;
        invoice
    };
    for (body, says) in [
        (json!({}), "kind"),
        (json!(["sale", "A", "B", "main", 5, 30]), "an object"),
        (json!(null), "an object"),
        (with("kind", json!("gift")), "gift"),
        (with("account", json!("savings")), "savings"),
        (with("amount_cents", json!(0)), "amount_cents"),
        (with("amount_cents", json!(-5)), "amount_cents"),
        (with("amount_cents", json!(100_000_001)), "amount_cents"),
        (with("amount_cents", json!(12.5)), "12.5"),
        (with("amount_cents", json!("5")), "amount_cents"),
        (with("terms_days", json!(121)), "terms_days"),
        (with("terms_days", json!(-1)), "terms_days"),
        (with("counterparty", json!("")), "counterparty"),
        (with("counterparty", json!(" ")), "counterparty"),
        (with("counterparty", json!("a\u{1b}[31m")), "counterparty"),
        (with("counterparty", json!("a\u{9b}31m")), "counterparty"),
        (with("amount_cents", json!(1e300)), "amount_cents"),
        (with("counterparty", json!("é".repeat(101))), "counterparty"),
        (with("description", json!("x".repeat(501))), "description"),
        (with("description", json!("x".repeat(9_000))), "description"),
        (with("status", json!("paid")), "status"),
    ] {
        let reply = fixture.post("/invoices", &body).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {reply:?}");
        let detail = reply.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{body}: {detail}");
    }
    // Characters are counted, not bytes.
    let long = fixture.post("/invoices", &with("counterparty", json!("é".repeat(100)))).await;
    assert_eq!(long.status, StatusCode::CREATED);
    // So much is a whole number as well, by JSON Schema.
    let whole = fixture.post("/invoices", &with("amount_cents", json!(5.0))).await;
    assert_eq!(whole.body["amount"]["cents"], 5, "{whole:?}");
    assert_eq!(ids(&fixture.get("/invoices?limit=100").await).len(), 45, "nothing else was added");
}

#[tokio::test]
async fn bodies_that_are_no_json_are_problems() {
    let fixture = Fixture::new();
    for path in ["/invoices", "/invoices/2026-0017/pay"] {
        for (kind_sent, body, status, kind_wanted) in [
            ("application/json", b"{".to_vec(), 400, "malformed-body"),
            ("application/json", b"\"\xff\"".to_vec(), 400, "malformed-body"),
            ("text/plain", b"{}".to_vec(), 415, "not-json"),
            ("application/json", vec![b' '; 16 * 1024 + 1], 413, "body-too-large"),
            ("application/json", b"[]".to_vec(), 422, "invalid-body"),
            ("application/json", b"7".to_vec(), 422, "invalid-body"),
        ] {
            let reply = fixture.send(Method::POST, path, Some((kind_sent, body))).await;
            assert_eq!((reply.status.as_u16(), kind(&reply)), (status, kind_wanted), "{path}: {reply:?}");
        }
    }
    let twice = br#"{"confirm":true,"confirm":true}"#.to_vec();
    let reply = fixture.send(Method::POST, "/invoices/2026-0017/pay", Some(("application/json", twice))).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reply = fixture.send(Method::POST, "/invoices", None).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn paying_moves_money_once() {
    let fixture = Fixture::new();
    let balance = async |account: &str| {
        let account = fixture.get(&format!("/accounts/{account}")).await;
        account.body["balance"]["cents"].as_i64().expect("cents")
    };
    // A purchase below the limit needs no word, and no body.
    let before = balance("dollar").await;
    let paid = fixture.send(Method::POST, "/invoices/2026-0034/pay", None).await;
    assert_eq!((paid.status, &paid.body["status"]), (StatusCode::OK, &json!("paid")), "{paid:?}");
    assert_eq!(paid.body["paid"], "2026-11-20");
    assert_eq!(balance("dollar").await, before - 87_400);
    let again = fixture.send(Method::POST, "/invoices/2026-0034/pay", None).await;
    assert_eq!((again.status, kind(&again)), (StatusCode::CONFLICT, "already-paid"));
    assert_eq!(balance("dollar").await, before - 87_400);

    // A sale above the limit needs one.
    let before = balance("main").await;
    for body in [json!(null), json!({}), json!({ "confirm": false })] {
        let reply = fixture.post("/invoices/2026-0017/pay", &body).await;
        assert_eq!((reply.status, kind(&reply)), (StatusCode::CONFLICT, "confirmation-required"), "{body}");
        assert!(reply.body["detail"].as_str().is_some_and(|detail| detail.contains(r#"{"confirm": true}"#)));
    }
    assert_eq!(balance("main").await, before);
    let paid = fixture.post("/invoices/2026-0017/pay", &json!({ "confirm": true })).await;
    assert_eq!(paid.status, StatusCode::OK, "{paid:?}");
    assert_eq!(balance("main").await, before + 368_000);

    // What is not there cannot be spent, whoever agrees.
    let before = balance("cash").await;
    let reply = fixture.post("/invoices/2026-0030/pay", &json!({ "confirm": true })).await;
    assert_eq!((reply.status, kind(&reply)), (StatusCode::CONFLICT, "insufficient-funds"));
    assert_eq!(balance("cash").await, before);

    for number in ["2026-9999", "17", "2026-00017", "%00", "2026-0017%2Fpay"] {
        let reply = fixture.post(&format!("/invoices/{number}/pay"), &json!({})).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{number}: {reply:?}");
        assert_eq!(fixture.get(&format!("/invoices/{number}")).await.status, StatusCode::NOT_FOUND, "{number}");
    }
}

#[tokio::test]
async fn two_payments_at_once_pay_once() {
    let fixture = Fixture::new();
    let pay = || fixture.send(Method::POST, "/invoices/2026-0034/pay", None);
    let (a, b, c) = tokio::join!(pay(), pay(), pay());
    let paid = [a, b, c].iter().filter(|reply| reply.status == StatusCode::OK).count();
    assert_eq!(paid, 1);
}

#[tokio::test]
async fn months_show_their_figures() {
    let fixture = Fixture::new();
    let closed = fixture.get("/months/2026-06").await;
    assert_eq!(closed.body["closed"], "2026-07-08");
    let open = fixture.get("/months/2026-10").await;
    assert!(open.body.get("closed").is_none(), "{open:?}");
    assert_eq!(open.body["invoices"], 8);
    let euros = open.body["sums"].as_array().and_then(|sums| sums.iter().find(|sums| sums["currency"] == "EUR"));
    assert_eq!(euros.expect("euros")["sales_cents"], 96_400 + 45_000);
    // What is paid later changes an open month, and never a closed one.
    for (number, month) in [("2026-0032", "2026-10"), ("2026-0015", "2026-07")] {
        let before = fixture.get(&format!("/months/{month}")).await.body;
        let paid = fixture.post(&format!("/invoices/{number}/pay"), &json!({ "confirm": true })).await;
        assert_eq!(paid.status, StatusCode::OK);
        let after = fixture.get(&format!("/months/{month}")).await.body;
        assert_eq!(before == after, month == "2026-07", "{month}");
    }
    for month in ["2026-12", "2026-13", "june", "2026-1"] {
        let reply = fixture.get(&format!("/months/{month}")).await;
        assert_eq!((reply.status, kind(&reply)), (StatusCode::NOT_FOUND, "month-not-found"), "{month}");
    }
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_named() {
    let fixture = Fixture::new();
    for (method, path, allowed) in [
        (Method::DELETE, "/invoices", "GET,HEAD,POST"),
        (Method::PUT, "/invoices/2026-0017", "GET,HEAD"),
        (Method::GET, "/invoices/2026-0017/pay", "POST"),
        (Method::OPTIONS, "/accounts", "GET,HEAD"),
        (Method::TRACE, "/months/2026-06", "GET,HEAD"),
    ] {
        let reply = fixture.send(method.clone(), path, None).await;
        assert_eq!(
            (reply.status, kind(&reply)),
            (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            "{method} {path}"
        );
        assert_eq!(reply.headers[header::ALLOW], allowed, "{method} {path}");
    }
    for path in ["/", "/nothing", "/invoices/", "/invoices/2026-0017/pay/now"] {
        assert_eq!(fixture.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn the_document_names_every_operation_once_and_leaves_nothing_open() {
    let fixture = Fixture::new();
    let paths = fixture.document["paths"].as_object().expect("paths");
    let mut names = Vec::new();
    for (path, item) in paths {
        assert!(path.starts_with("/api/finance/"), "{path}");
        for (method, operation) in item.as_object().expect("a path item") {
            names.push(operation["operationId"].as_str().expect("a name").to_owned());
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert_eq!(operation["tags"], json!(["ledger"]));
        }
    }
    names.sort();
    let expected = [
        "create_invoice",
        "list_accounts",
        "list_invoices",
        "pay_invoice",
        "read_account",
        "read_invoice",
        "read_month",
    ];
    assert_eq!(names, expected.map(|name| format!("ledger_{name}")));
    for (name, schema) in fixture.document["components"]["schemas"].as_object().expect("schemas") {
        assert!(name.starts_with("finance."), "{name} could be somebody else's");
        jsonschema::draft202012::meta::validate(schema).expect("a schema");
    }
    let new = &fixture.document["components"]["schemas"]["finance.NewInvoice"];
    assert_eq!(new["additionalProperties"], false);
    assert_eq!(new["required"], json!(["kind", "counterparty", "description", "account", "amount_cents"]));
}
