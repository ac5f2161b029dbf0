//! Where it listens: on loopback, until there is authentication (SEC-006).

use rialto::config::{ListenError, parse_listen};

use super::{parse, settings_faults};

#[test]
fn the_default_is_loopback() {
    assert_eq!(parse(r#"{ "mcpServers": {} }"#).listen.to_string(), "127.0.0.1:8000");
}

#[test]
fn sec_006_nothing_else_than_loopback_is_listened_on() {
    for open in ["0.0.0.0:8000", "[::]:8000", "192.168.1.5:80", "[::ffff:0.0.0.0]:80", "[::ffff:10.0.0.1]:80"] {
        assert_eq!(parse_listen(open), Err(ListenError::NotLoopback), "{open}");
        let message = settings_faults(&format!(r#""listen": "{open}""#));
        assert!(message.contains("rialto.listen: listening outside loopback needs authentication"), "{message}");
        assert!(message.contains("hint: listen on `127.0.0.1` or `[::1]`"), "{message}");
    }
    for own in ["127.0.0.1:0", "127.0.0.2:80", "[::1]:8000", "[::ffff:127.0.0.1]:80"] {
        assert!(parse_listen(own).is_ok(), "{own}");
    }
    for broken in ["", "8000", ":8000", "localhost:8000", "127.0.0.1", "127.0.0.1:99999", "127.1:80"] {
        assert_eq!(parse_listen(broken), Err(ListenError::NotAnAddress), "{broken}");
    }
    assert_eq!(
        ListenError::NotLoopback.to_string(),
        "listening outside loopback needs authentication, which this version does not have; listen on `127.0.0.1` or `[::1]`"
    );
}
