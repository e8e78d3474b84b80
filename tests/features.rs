//! Proves that a TLS provider which is not compiled in is refused when the client is built. Without
//! the check, the first call would panic.

use posthog_api::{Client, Error, ErrorKind};

fn refused(client: Result<Client, Error>, feature: &str) {
    match client {
        Err(e) if e.kind() == ErrorKind::Config => {
            assert!(e.to_string().contains(&format!("`{feature}`")), "{e}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn https_needs_a_tls_feature() {
    let client = Client::new("phx_test");
    if cfg!(any(feature = "rustls", feature = "native-tls")) {
        assert!(client.is_ok());
    } else {
        refused(client, "rustls");
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod providers {
    use super::*;
    use posthog_api::US;
    use posthog_api::ureq::Agent;
    use posthog_api::ureq::tls::{TlsConfig, TlsProvider};

    fn with(provider: TlsProvider, host: &str) -> Result<Client, Error> {
        let tls = TlsConfig::builder().provider(provider).build();
        let agent = Agent::config_builder().tls_config(tls).build().new_agent();
        Client::builder("phx_test").host(host).agent(agent).build()
    }

    #[test]
    fn an_agent_of_the_caller_needs_the_feature_of_its_tls_provider() {
        for (provider, feature, compiled) in [
            (TlsProvider::Rustls, "rustls", cfg!(feature = "rustls")),
            (TlsProvider::NativeTls, "native-tls", cfg!(feature = "native-tls")),
        ] {
            if compiled {
                assert!(with(provider, US).is_ok());
            } else {
                refused(with(provider, US), feature);
            }
        }
    }

    #[test]
    fn plain_http_to_this_machine_needs_no_tls_feature() {
        for provider in [TlsProvider::Rustls, TlsProvider::NativeTls] {
            assert!(with(provider, "http://127.0.0.1:9").is_ok());
        }
    }
}
