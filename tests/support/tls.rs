//! A scripted server that speaks TLS, with a certificate that nobody trusts by default.
use super::{Act, Request, Server, builder};
use posthog_api::ClientBuilder;
use posthog_api::ureq::Agent;
use posthog_api::ureq::tls::{Certificate, RootCerts, TlsConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// For 127.0.0.1 and localhost, until 2120, signed by its own key, so that no client trusts it.
/// Made with
/// `openssl ca -selfsign` for these tests only.
const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.der");
const PRIVATE_KEY: &[u8] = include_bytes!("tls/key.der");

/// Like [`Server::start`].
pub fn start(act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Server {
    on("127.0.0.1:0", act).unwrap()
}

/// Like [`Server::on`].
pub fn on(
    address: &str,
    act: impl Fn(&Request, usize) -> Act + Send + Sync + 'static,
) -> std::io::Result<Server> {
    let key = PrivateKeyDer::Pkcs8(PRIVATE_KEY.into());
    Server::tls(address, http_server::tls(CertificateDer::from(CERTIFICATE), key), act)
}

/// A client that trusts the certificate of these servers.
pub fn trusting(url: String) -> ClientBuilder {
    let roots = RootCerts::from([Certificate::from_der(CERTIFICATE)]);
    let settings = Agent::config_builder()
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    builder(url).agent(settings.build().new_agent())
}
