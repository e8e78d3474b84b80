//! TLS in front of a scripted server, with a certificate that nobody trusts by default.
use super::{Server, builder};
use posthog_api::ClientBuilder;
use posthog_api::ureq::Agent;
use posthog_api::ureq::tls::{Certificate, RootCerts, TlsConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// For 127.0.0.1 and localhost, until 2120, signed by its own key, so that no client trusts it.
/// Made with
/// `openssl ca -selfsign` for these tests only.
const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.der");
const PRIVATE_KEY: &[u8] = include_bytes!("tls/key.der");

/// TLS in front of a [`Server`], which gets the decrypted bytes.
pub struct Front {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
pub struct Seen {
    stopping: AtomicBool,
    /// How many connections sent data after the handshake.
    pub trusted: AtomicUsize,
    pub connections: AtomicUsize,
    /// Why the other connections ended.
    pub refusals: Mutex<Vec<String>>,
}

impl Front {
    pub fn of(server: &Server) -> Front {
        Front::on("127.0.0.1:0", server).unwrap()
    }

    pub fn on(address: &str, server: &Server) -> std::io::Result<Front> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from(CERTIFICATE)];
        let key = PrivateKeyDer::Pkcs8(PRIVATE_KEY.into());
        let settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (seen, settings, behind) =
            (Arc::new(Seen::default()), Arc::new(settings), server.address());
        let shared = seen.clone();
        let accepting = std::thread::spawn(move || {
            let mut serving = Vec::new();
            for stream in listener.incoming() {
                if shared.stopping.load(SeqCst) {
                    break;
                }
                let (shared, settings) = (shared.clone(), settings.clone());
                shared.connections.fetch_add(1, SeqCst);
                serving.push(std::thread::spawn(move || {
                    let tls = ServerConnection::new(settings).unwrap();
                    hand_on(StreamOwned::new(tls, stream.unwrap()), behind, &shared);
                }));
            }
            for thread in serving {
                thread.join().unwrap();
            }
        });
        Ok(Front { address, seen, accepting: Some(accepting) })
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.seen.stopping.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        let joined = self.accepting.take().unwrap().join();
        assert!(std::thread::panicking() || joined.is_ok());
    }
}

fn hand_on(mut tls: StreamOwned<ServerConnection, TcpStream>, behind: SocketAddr, seen: &Seen) {
    let tick = Some(Duration::from_millis(2));
    tls.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    if let Err(why) = tls.conn.complete_io(&mut tls.sock) {
        seen.refusals.lock().unwrap().push(why.to_string());
        return;
    }
    // In TLS 1.3 the client checks the certificate after the handshake has ended on this side.
    tls.sock.set_read_timeout(tick).unwrap();
    let mut plain: Option<TcpStream> = None;
    let mut buffer = vec![0; 16 * 1024];
    while !seen.stopping.load(SeqCst) {
        match tls.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                let plain = plain.get_or_insert_with(|| {
                    seen.trusted.fetch_add(1, SeqCst);
                    let plain = TcpStream::connect(behind).unwrap();
                    plain.set_read_timeout(tick).unwrap();
                    plain
                });
                plain.write_all(&buffer[..n]).unwrap();
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => {
                seen.refusals.lock().unwrap().push(e.to_string());
                break;
            }
        }
        let Some(plain) = &mut plain else { continue };
        match plain.read(&mut buffer) {
            Ok(0) => {
                tls.conn.send_close_notify();
                let _ = tls.flush();
                break;
            }
            Ok(n) if tls.write_all(&buffer[..n]).is_ok() => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
}

/// A client that trusts the certificate of [`Front`].
pub fn trusting(url: String) -> ClientBuilder {
    let roots = RootCerts::from([Certificate::from_der(CERTIFICATE)]);
    let settings = Agent::config_builder()
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    builder(url).agent(settings.build().new_agent())
}
