//! How dead letters are listed and shown.

use super::Stage;

#[tokio::test]
async fn one_is_shown_with_all_that_was_tried() {
    let stage = Stage::new().await;
    let [mail, webhook, ..] = stage.letters;
    let db = &stage.db;
    db.attempt(webhook, 1, "retry", "503 Service Unavailable")
        .await;
    db.attempt(webhook, 2, "lost", "").await;
    db.queued_mail(stage.event, stage.bo, "failed", Some(mail))
        .await;
    // Its key and its times are its own.
    let shown = |id: i64| {
        let text = stage.text(&format!("show {id}"));
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("  key") && !line.starts_with("  queued"));
        let cut = lines.map(|line| match line.split_once(" 202") {
            Some((head, _)) if line.starts_with("  status") || line.starts_with("  event") => head,
            _ => line,
        });
        cut.collect::<Vec<_>>()
            .join("\n")
            .replace(&stage.bo.to_string(), "BO")
            .replace(&stage.billing.to_string(), "BILLING")
    };
    insta::assert_snapshot!(shown(webhook), @r"
    delivery 2  alert_triggered
      status    dead
      channel   webhook
      to        billing (webhook.example.com/…)
      recipient endpoint:BILLING
      target    endpoint:BILLING
      event     none
      reason    503: 100% busy at C:\hooks
      code      unavailable

    Payment failed
      Card declined.
      Second time.
      Amount: €12.00
      /billing

    Attempts:
      1  2026-01-02 03:05:05 UTC    0.2s  retry      503  unavailable  503 Service Unavailable
        │ try later
      2  2026-01-02 03:06:05 UTC    0.2s  lost       503  unavailable
        │ try later
    ");
    insta::assert_snapshot!(shown(mail), @"
    delivery 1  invite_accepted
      status    dead
      channel   email
      to        b…@example.com
      recipient user:BO
      target    email
      event     1, of
      reason    550: no such user b…@example.com
      code      550

    E-mails in it:
      Ada accepted (invite_accepted, event 1, failed)

    Nothing was attempted.
    ");
    let document = stage.json("show 2");
    assert_eq!(document["attempts"][0]["duration_milliseconds"], 250);
    assert_eq!(document["attempts"][1]["outcome"], "lost");
    assert_eq!(document["message"]["title"], "Payment failed");
    stage.db.ends("dead-letters show 999", 1);
}

#[tokio::test]
async fn a_list_is_cut_and_ordered() {
    let stage = Stage::new().await;
    let ids = |line: &str| -> Vec<i64> {
        let listed = stage.json(line);
        assert_eq!(listed["matching_count"], 5);
        let letters = listed["dead_letters"].as_array().expect("a list").iter();
        letters.filter_map(|letter| letter["id"].as_i64()).collect()
    };
    assert_eq!(ids("list"), [1, 4, 2, 5, 3]);
    assert_eq!(ids("list --oldest-first"), [3, 5, 2, 4, 1]);
    let text = stage.text("list --limit 4");
    insta::assert_snapshot!(text, @r"
    id  status     channel  type             to                                   ended  tries  reason
     1  dead       email    invite_accepted  b…@example.com                      1h ago      6  550: no such user b…@example.com
     4  uncertain  sms      alert_triggered  on call (sms.example.com/…)         3h ago      6  the connection broke after all was sent
     2  dead       webhook  alert_triggered  billing (webhook.example.com/…)  1d 6h ago      6  503: 100% busy at C:\hooks
     5  uncertain  email    digest           b…@example.com                   2d 2h ago      6  the connection broke after DATA
    … these are 4 of 5 dead letters: --limit shows more
    ");
    insta::assert_snapshot!(stage.text("list --type nothing"), @"
    No dead letter matches.
    By --type there are: alert_triggered, digest, invite_accepted, payment_failed.
    ");
    insta::assert_snapshot!(stage.text("discard --type payment.failed --target biling"), @"
    No dead letter matches; nothing was changed.
    By --type there are: alert_triggered, digest, invite_accepted, payment_failed.
    By --target there are: billing, email, env:slack, on call.
    ");
    let none = stage.text("list --channel discord");
    assert_eq!(none, "No dead letter matches.\n");
    // The recipient may be deleted, and is named without an address.
    stage.db.execute("DELETE FROM profiles").await;
    let gone = stage.json("list --channel email --limit 1");
    assert_eq!(gone["dead_letters"][0]["to"], format!("user:{}", stage.bo));
}
