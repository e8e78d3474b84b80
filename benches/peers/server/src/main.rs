//! `server CA DELAY`: the loopback server as a process of its own.
//!
//! It writes the certificate to trust to the file CA, and prints four base URLs: http by address;
//! http by name; the same with DELAY ms before each page of persons; https by name. It stops when
//! its standard input ends.

#[path = "../../../loopback/mod.rs"]
mod loopback;

use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io};

use loopback::Answers;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

fn main() -> Result<(), Box<dyn Error>> {
    let [ca, delay] = &env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("server CA DELAY".into());
    };
    let answers = Answers::new(100);
    let http = loopback::start(&answers, Duration::ZERO)?;
    let named = by_name(&answers, Duration::ZERO)?;
    let slow = by_name(&answers, Duration::from_millis(delay.parse()?))?;

    let config = Arc::new(tls(ca)?);
    let (port, listeners) = localhost()?;
    let https = format!("https://localhost:{port}");
    for listener in listeners {
        let config = Arc::clone(&config);
        loopback::listen(listener, &answers, &https, Duration::ZERO, move |stream| {
            let connection =
                ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            Ok(StreamOwned::new(connection, stream))
        })?;
    }

    println!("{http} {named} {slow} {https}");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Starts a server on a free port of localhost, and returns its base URL.
fn by_name(answers: &Arc<Answers>, delay: Duration) -> io::Result<String> {
    let (port, listeners) = localhost()?;
    let base = format!("http://localhost:{port}");
    for listener in listeners {
        loopback::listen(listener, answers, &base, delay, Ok)?;
    }
    Ok(base)
}

/// A free port, open at both addresses that the name can have: a client must not lose time at an
/// address where nobody listens. Where there is no IPv6, at one.
fn localhost() -> io::Result<(u16, Vec<TcpListener>)> {
    loop {
        let v4 = TcpListener::bind("127.0.0.1:0")?;
        let port = v4.local_addr()?.port();
        match TcpListener::bind(("::1", port)) {
            Ok(v6) => return Ok((port, vec![v4, v6])),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(_) => return Ok((port, vec![v4])),
        }
    }
}

/// A certificate for localhost, signed by a root of this run, which is written to the file `ca`.
fn tls(ca: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new([])?;
    // Issuer and subject must differ: otherwise OpenSSL takes the certificate for self-signed.
    root.distinguished_name.push(DnType::CommonName, "peers root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(ca, root.self_signed(&root_key)?.pem())?;

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(["localhost".to_owned()])?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = leaf.signed_by(&key, &Issuer::new(root, root_key))?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    // A build of the whole workspace turns on reqwest's provider too, and rustls does not choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(vec![certificate.into()], key)?)
}
