//! `server CA DELAY`: the loopback server as a process of its own.
//!
//! It writes the certificate to trust to the file CA, and prints four base URLs: http by address;
//! http by name; the same with DELAY ms before each page of persons; https by name. It stops when
//! its standard input ends.

#[path = "../../../loopback/mod.rs"]
mod loopback;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io};

use http_server::{Listener, ServerConfig};
use loopback::{Answers, Site};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::PrivateKeyDer;

fn main() -> Result<(), Box<dyn Error>> {
    let [ca, delay] = &env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("server CA DELAY".into());
    };
    let answers = Answers::new(100);
    let http = loopback::start(&answers, Duration::ZERO)?;
    let named = by_name(&answers, Duration::ZERO, None)?;
    let slow = by_name(&answers, Duration::from_millis(delay.parse()?), None)?;
    let https = by_name(&answers, Duration::ZERO, Some(tls(ca)?))?;

    println!("{http} {named} {slow} {https}");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Starts a server on a free port of localhost, and returns its base URL.
fn by_name(
    answers: &Arc<Answers>,
    delay: Duration,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<String> {
    let listeners = localhost()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://localhost:{}", listeners[0].address().port());
    let site = Arc::new(Site { answers: Arc::clone(answers), base: base.clone(), delay });
    for listener in listeners {
        let listener = match &tls {
            Some(settings) => listener.tls(Arc::clone(settings)),
            None => listener,
        };
        // It runs as long as the process.
        std::mem::forget(listener.serve(Arc::clone(&site)));
    }
    Ok(base)
}

/// A free port, open at both addresses that the name can have: a client must not lose time at an
/// address where nobody listens. Where there is no IPv6, at one.
fn localhost() -> io::Result<Vec<Listener>> {
    loop {
        let v4 = Listener::bind("127.0.0.1:0")?;
        match Listener::bind(("::1", v4.address().port())) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(_) => return Ok(vec![v4]),
        }
    }
}

/// A certificate for localhost, signed by a root of this run, which is written to the file `ca`.
fn tls(ca: &str) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
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
    Ok(http_server::tls(certificate.into(), key))
}
