use super::*;

#[test]
fn a_write_is_sent_again_only_where_nothing_can_have_been_sent() {
    let refused = || ureq::Error::Io(io::ErrorKind::ConnectionRefused.into());
    let unreachable = || ureq::Error::Io(io::ErrorKind::HostUnreachable.into());
    let reset = || ureq::Error::Io(io::ErrorKind::ConnectionReset.into());
    for (error, nothing, maybe, surely) in [
        (refused as fn() -> ureq::Error, Outcome::Unconnected, Outcome::Broken, Outcome::Broken),
        (unreachable, Outcome::Unconnected, Outcome::Broken, Outcome::Broken),
        (|| ureq::Error::ConnectionFailed, Outcome::Unconnected, Outcome::Broken, Outcome::Broken),
        (
            || ureq::Error::HostNotFound,
            Outcome::Unconnected,
            Outcome::Unconnected,
            Outcome::Unconnected,
        ),
        (reset, Outcome::Broken, Outcome::Broken, Outcome::Broken),
    ] {
        for (sent, outcome) in
            [(Reached::Nothing, nothing), (Reached::Maybe, maybe), (Reached::Surely, surely)]
        {
            assert_eq!(no_answer(error(), sent).outcome, outcome, "{} {sent:?}", error());
        }
    }
}
