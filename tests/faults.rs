//! Proves that nothing wrong, nothing leaking and nothing hanging comes out of a server that misbehaves.
mod support;

use serde_json::json;
use support::{Act, Server, client, error, trying};

#[test]
fn a_reset_before_the_answer_is_a_transport_error() {
    let server = Server::script([Act::reset()]);
    let error = error(client(&server).me());
    assert!(matches!(error, posthog_api::Error::Transport(_)));
}

#[test]
fn a_kept_connection_that_closes_at_the_next_call_is_replaced() {
    let server = Server::script([
        Act::json(200, &json!({})),
        Act::close(),
        Act::json(200, &json!({})),
    ]);
    let client = trying(&server, 0);
    client.me().unwrap();
    client.me().unwrap();
    assert_eq!(server.connections(), 2);
}
