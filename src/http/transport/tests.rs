use super::*;

#[test]
fn a_write_is_sent_again_only_where_nothing_can_have_been_sent() {
    let refused = || ureq::Error::Io(io::ErrorKind::ConnectionRefused.into());
    let unreachable = || ureq::Error::Io(io::ErrorKind::HostUnreachable.into());
    let reset = || ureq::Error::Io(io::ErrorKind::ConnectionReset.into());
    let (unsent, unclear) = ((Kind::Connect, false), (Kind::Connect, true));
    let (unknown, broken) = ((Kind::Dns, false), (Kind::Broken, true));
    let (wrong, garbage) = ((Kind::Config, false), (Kind::Decode, true));
    for (error, nothing, maybe, surely) in [
        (refused as fn() -> ureq::Error, unsent, unclear, broken),
        (unreachable, unsent, unclear, broken),
        (|| ureq::Error::ConnectionFailed, unsent, unclear, broken),
        (|| ureq::Error::HostNotFound, unknown, unknown, unknown),
        (reset, broken, broken, broken),
        #[cfg(feature = "gzip")]
        (
            || ureq::Error::Decompress("gzip", io::ErrorKind::HostUnreachable.into()),
            broken,
            broken,
            broken,
        ),
        #[cfg(feature = "gzip")]
        (
            || ureq::Error::Decompress("gzip", io::ErrorKind::InvalidData.into()),
            garbage,
            garbage,
            garbage,
        ),
        (|| ureq::Error::InvalidProxyUrl, wrong, wrong, wrong),
    ] {
        let reached =
            [(Reached::Nothing, nothing), (Reached::Maybe, maybe), (Reached::Surely, surely)];
        for (reached, expected) in reached {
            let found = no_answer(error(), reached);
            let found = (found.kind(), found.may_have_been_done());
            assert_eq!(found, expected, "{} {reached:?}", error());
        }
    }
}
