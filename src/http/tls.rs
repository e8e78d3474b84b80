//! The default agent: its TLS, by the features that are on, and its buffers.

use ureq::Agent;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::url::Origin;

/// An agent with the TLS of the features that are on.
///
/// Its buffers are smaller than ureq's: a process that asks for one value notices each page of
/// memory that they touch. The one for the request must hold the longest URL and the method before
/// it.
pub(super) fn agent(origin: &Origin) -> Agent {
    const IDLE_CONNECTIONS: usize = 16;
    let config = Agent::config_builder()
        .input_buffer_size(48 * 1024)
        .max_response_header_size(47 * 1024)
        .output_buffer_size(66 * 1024)
        .max_idle_connections(IDLE_CONNECTIONS)
        .max_idle_connections_per_host(IDLE_CONNECTIONS);
    // The proxy of the environment is another machine: it would receive the key, unencrypted.
    let config = if origin.is_loopback() { config.proxy(None) } else { config };
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    let config = config.tls_config(tls());
    config.build().new_agent()
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn tls() -> TlsConfig {
    let native = cfg!(feature = "native-tls");
    // The platform's library brings the platform's certificates.
    let platform = native || cfg!(feature = "platform-verifier");
    TlsConfig::builder()
        .provider(if native { TlsProvider::NativeTls } else { TlsProvider::Rustls })
        .root_certs(if platform { RootCerts::PlatformVerifier } else { RootCerts::WebPki })
        .build()
}

/// The feature that an https host needs with this agent, and that is off.
#[allow(unused_variables, reason = "without TLS there is nothing to look at")]
pub(super) fn missing(agent: &Agent) -> Option<&'static str> {
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    if agent.config().tls_config().provider() == TlsProvider::NativeTls {
        return (!cfg!(feature = "native-tls")).then_some("native-tls");
    }
    (!cfg!(feature = "rustls")).then_some("rustls")
}
