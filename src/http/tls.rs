//! The default agent: its TLS, by the features that are on, and its buffers.

use super::url::Peer;

/// How many idle connections the default agent keeps.
const IDLE_CONNECTIONS: usize = 16;

#[cfg(any(feature = "rustls", feature = "native-tls"))]
pub(super) use with_tls::{agent, missing};
#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
pub(super) use without_tls::{agent, missing};

#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod with_tls {
    use ureq::Agent;
    use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

    use super::{Peer, config};

    /// An agent with the TLS of the features that are on.
    pub(in crate::http) fn agent(peer: &Peer) -> Agent {
        let native = cfg!(feature = "native-tls");
        // The platform's library brings the platform's certificates.
        let platform = native || cfg!(feature = "platform-verifier");
        let tls = TlsConfig::builder()
            .provider(if native { TlsProvider::NativeTls } else { TlsProvider::Rustls })
            .root_certs(if platform { RootCerts::PlatformVerifier } else { RootCerts::WebPki })
            .build();
        config(peer).tls_config(tls).build().new_agent()
    }

    /// The feature that this agent needs and that is off.
    pub(in crate::http) fn missing(agent: &Agent) -> Option<&'static str> {
        match agent.config().tls_config().provider() {
            TlsProvider::NativeTls => (!cfg!(feature = "native-tls")).then_some("native-tls"),
            _ => (!cfg!(feature = "rustls")).then_some("rustls"),
        }
    }
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
mod without_tls {
    use super::{Peer, config};

    pub(in crate::http) fn agent(peer: &Peer) -> ureq::Agent {
        config(peer).build().new_agent()
    }

    #[allow(clippy::unnecessary_wraps)] // the other one has a choice
    pub(in crate::http) fn missing(_: &ureq::Agent) -> Option<&'static str> {
        Some("rustls")
    }
}

/// ureq's buffers, smaller: a process that asks for one value notices each page of memory that they
/// touch. The one for the request must hold the longest URL and the method before it.
fn config(peer: &Peer) -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    let config = ureq::Agent::config_builder()
        .input_buffer_size(48 * 1024)
        .max_response_header_size(47 * 1024)
        .output_buffer_size(66 * 1024)
        .max_idle_connections(IDLE_CONNECTIONS)
        .max_idle_connections_per_host(IDLE_CONNECTIONS);
    // The proxy of the environment is another machine: it would receive the key, unencrypted.
    if peer.loopback { config.proxy(None) } else { config }
}
