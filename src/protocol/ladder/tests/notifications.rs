use super::{LEGACY, R26, R1125, object, text};
use crate::protocol::{Revision, ladder::Plan};

fn notify(plan: Plan, params: &str) -> Option<String> {
    plan.notification("notifications/progress", Some(object(params))).map(|params| text(&params))
}

#[test]
fn notifications_lose_the_keys_of_their_hop_and_nothing_else() {
    let input = r#"{"progressToken":1,"progress":1.0,"message":"m","_meta":{"io.modelcontextprotocol/subscriptionId":3,"io.modelcontextprotocol/related-task":{},"k":1}}"#;
    for legacy in LEGACY {
        // Which task a message belongs to is a word of 2025-11-25 alone.
        let kept = match legacy {
            R1125 => {
                r#"{"progressToken":1,"progress":1.0,"message":"m","_meta":{"io.modelcontextprotocol/related-task":{},"k":1}}"#
            }
            _ => r#"{"progressToken":1,"progress":1.0,"message":"m","_meta":{"k":1}}"#,
        };
        assert_eq!(notify(Plan::between(legacy, R26), input).unwrap(), kept);
        assert_eq!(
            notify(Plan::between(R26, legacy), input).unwrap(),
            r#"{"progressToken":1,"progress":1.0,"message":"m","_meta":{"k":1}}"#
        );
        let only = r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":3}}"#;
        assert_eq!(notify(Plan::between(legacy, R26), only), None);
        assert_eq!(notify(Plan::between(legacy, R26), "{}").as_deref(), Some("{}"));
    }
    for revision in Revision::ALL {
        assert_eq!(notify(Plan::between(revision, revision), input).unwrap(), input);
    }
    assert!(Plan::between(R26, LEGACY[0]).notification("notifications/message", None).is_none());
}
