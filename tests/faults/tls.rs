//! Proves that nothing is said over TLS to a server that cannot show who it is, and that https is never left for http.
use crate::support::expect::{config, redirect, timeout, transport};
use crate::support::{AT_ONCE, Act, End, Server, TIMEOUT, builder, error, within};
use posthog_api::ClientBuilder;
use posthog_api::ureq::Agent;
use posthog_api::ureq::tls::{Certificate, RootCerts, TlsConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Of 127.0.0.1 and localhost, until 2120, signed by its own key and so trusted by nobody: made with
/// `openssl ca -selfsign` for these tests and good for nothing else.
const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.der");
const PRIVATE_KEY: &[u8] = include_bytes!("tls/key.der");

/// TLS in front of a [`Server`]: it hands on what it decrypts.
struct Front {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    stopping: AtomicBool,
    /// How many handshakes came to their end.
    trusted: AtomicUsize,
    connections: AtomicUsize,
    /// Why the others did not.
    refusals: Mutex<Vec<String>>,
}

impl Front {
    fn of(server: &Server) -> Front {
        Front::on("127.0.0.1:0", server).unwrap()
    }

    fn on(address: &str, server: &Server) -> std::io::Result<Front> {
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

    fn url(&self) -> String {
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
    // A client of TLS 1.3 looks at the certificate when the handshake is over for this side.
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
fn trusting(url: String) -> ClientBuilder {
    let roots = RootCerts::from([Certificate::from_der(CERTIFICATE)]);
    let settings = Agent::config_builder()
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    builder(url).agent(settings.build().new_agent())
}

#[test]
fn a_certificate_that_nobody_knows() {
    let behind = Server::stranger();
    let front = Front::of(&behind);
    let client = builder(front.url()).build().unwrap();
    let failed = within(AT_ONCE, || error(client.me()));
    let failure = transport(&failed);
    assert_eq!((failure.method(), failure.path()), ("GET", "/api/users/@me/"));
    assert!(failure.message().contains("certificate"), "{failed}");
    // Nothing came through, and it was asked for once.
    drop(client);
    let seen = front.seen.clone();
    drop(front);
    assert_eq!((seen.connections.load(SeqCst), seen.trusted.load(SeqCst)), (1, 0));
    assert_eq!(seen.refusals.lock().unwrap().len(), 1);
}

#[test]
fn a_certificate_that_nobody_knows_is_not_tried_again() {
    let behind = Server::stranger();
    let front = Front::of(&behind);
    let client = builder(front.url()).retry(posthog_api::RetryPolicy::default()).build().unwrap();
    let failed = within(Duration::from_millis(400), || error(client.me()));
    transport(&failed);
    assert_eq!(front.seen.connections.load(SeqCst), 1);
}

#[test]
fn a_certificate_of_another_host() {
    let behind = Server::stranger();
    let Ok(front) = Front::on("127.0.0.2:0", &behind) else {
        return; // this machine has no second address
    };
    let client = trusting(front.url()).build().unwrap();
    let failed = within(AT_ONCE, || error(client.me()));
    assert!(transport(&failed).message().contains("certificate"), "{failed}");
}

#[test]
fn a_certificate_that_is_known_is_spoken_to() {
    let behind =
        Server::script([Act::json(200, &json!({"a": 1})), Act::json(200, &json!({"a": 2}))]);
    let front = Front::of(&behind);
    let behind = behind.named(&front.address.to_string());
    let client = trusting(front.url()).build().unwrap();
    assert_eq!(client.me().unwrap(), json!({"a": 1}));
    assert_eq!(client.me().unwrap(), json!({"a": 2}));
    assert_eq!(behind.connections(), 1, "it is kept");
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let stranger = Server::stranger();
    for location in [stranger.url(), format!("{}/api/", stranger.url())] {
        let behind = Server::script([Act::status(302).header("Location", location)]);
        let front = Front::of(&behind);
        let _behind = behind.named(&front.address.to_string());
        let client = trusting(front.url()).build().unwrap();
        let failed = error(client.me());
        assert!(redirect(&failed).1.contains("https://127.0.0.1"), "{failed}");
    }
}

#[test]
fn a_redirect_to_http_on_the_same_host_and_port_is_not_followed() {
    let behind = Server::start(|request, n| {
        assert_eq!(n, 0);
        let host = request.header("host").unwrap();
        Act::status(301).header("Location", format!("http://{host}/api/"))
    });
    let front = Front::of(&behind);
    let _behind = behind.named(&front.address.to_string());
    redirect(&error(trusting(front.url()).build().unwrap().me()));
    assert_eq!(front.seen.connections.load(SeqCst), 1);
}

#[test]
fn a_next_that_says_http_for_https_is_followed_over_https() {
    let behind = Server::start(|request, n| {
        let host = request.header("host").unwrap();
        match n {
            0 => Act::page(&json!([1]), &json!(format!("http://{host}/api/x/?offset=1"))),
            _ => Act::page(&json!([2]), &json!(null)),
        }
    });
    let front = Front::of(&behind);
    let behind = behind.named(&front.address.to_string());
    let client = trusting(front.url()).build().unwrap();
    let rows = client.project(1).list("things").all().unwrap();
    assert_eq!(rows, [1, 2]);
    assert_eq!((behind.count(), front.seen.trusted.load(SeqCst)), (2, 1));
}

#[test]
fn a_server_that_speaks_no_tls() {
    for (name, act) in [
        ("HTTP", Act::json(400, &json!({"detail": "plain HTTP request sent to HTTPS port"}))),
        ("nonsense", Act::raw("what?\r\n\r\n")),
        ("an alert", Act::raw(vec![21, 3, 3, 0, 2, 2, 40])),
        ("zeros", Act::raw(vec![0; 100])),
        ("nothing, and closes", Act::close()),
    ] {
        let server = Server::at_connect(act.then(End::Close));
        let client = builder(server.url().replace("http:", "https:")).build();
        let failed = within(AT_ONCE, || error(client.unwrap().me()));
        assert!(transport(&failed).path().starts_with("/api/"), "{name}");
    }
}

#[test]
fn a_handshake_that_hangs_ends_with_the_connect_timeout() {
    let server = Server::at_connect(Act::silence());
    let client =
        builder(server.url().replace("http:", "https:")).connect_timeout(TIMEOUT).build().unwrap();
    let failed = within(crate::support::SLOW, || error(client.me()));
    assert!(timeout(&failed).message().contains("connect"), "{failed}");
}

#[test]
fn a_handshake_that_drips_ends_with_the_connect_timeout() {
    // The beginning of a record that says it is long.
    let server = Server::at_connect(
        Act::raw([&[22, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xf0][..], &[0; 100]].concat())
            .drip(Duration::from_millis(50)),
    );
    let client =
        builder(server.url().replace("http:", "https:")).connect_timeout(TIMEOUT).build().unwrap();
    let failed = within(crate::support::SLOW, || error(client.me()));
    timeout(&failed);
}

#[test]
fn plain_http_leaves_this_machine_only_where_it_is_allowed() {
    config(&error(builder("http://posthog.example").build()));
    let allowed = builder("http://posthog.example").allow_http(true);
    assert!(allowed.build().is_ok());
}
