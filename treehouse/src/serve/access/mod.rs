//! Who may see how much: energy at microjoules and milliseconds tells a neighbour's secrets (PLATYPUS: CVE-2020-8694,
//! CVE-2020-8695, CVE-2020-12912, CVE-2024-23984).
//!
//! Root, the daemon's own user and whoever sends the token see everything as it is; members of the trusted group too, but not
//! more often than `unprivileged_min_interval_s` says. Everybody else sees whole millijoules, one new value a second: over the
//! socket, where the kernel tells the user, what is that user's own; over TCP, where nobody does, the whole host. All of them
//! look at one copy, so that reading twice, or over both, tells no more than reading once.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use carbon_api::snapshot::{Snapshot, SnapshotCell};
use carbon_api::users::unlisted;
use exporters::View;

use self::coarse::Coarse;
use self::gate::Gate;
use self::group::TrustedGroup;
use self::token::Token;
use super::Daemon;
use super::problem::Problem;
use crate::config::Serve;
use crate::failure::Failure;

mod coarse;
mod gate;
mod group;
mod own;
pub(super) mod socket;
mod token;

/// Seconds between two new values that the unprivileged never get below, whatever is configured.
const STRANGERS_S: f64 = 1.0;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Over TCP: nobody knows whose it is.
    Tcp,
    /// Over the socket, by the kernel's word.
    Peer {
        /// The effective user when it connected.
        uid: u32,
        /// A member of the trusted group.
        trusted: bool,
    },
}

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Everything, as fine and as new as it is.
    Full,
    /// Everything as fine as it is, not more often than is configured.
    Trusted,
    /// One user's own, coarsened.
    Own(u32),
    /// The whole host, coarsened.
    Public,
}

/// What one request gets to see.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) view: View,
    /// It is of one user alone.
    pub(super) user: Option<u32>,
}

/// The rules, and what was shown last.
pub(super) struct Access {
    daemon_uid: u32,
    token: Option<Token>,
    group: Option<Arc<TrustedGroup>>,
    strangers: Mutex<(Gate, Arc<Coarse>)>,
    trusted: Mutex<(Gate, Arc<Snapshot>)>,
}

impl Access {
    /// Reads the token and looks up the group.
    pub(super) fn new(config: &Serve) -> Result<Self, Failure> {
        let token = config.raw_token_file.as_deref().map(Token::read).transpose()?;
        let group = config.trusted_group.as_deref().map(TrustedGroup::find).transpose()?;
        let nothing = Snapshot::empty(jiff::Timestamp::UNIX_EPOCH, 1.0);
        let strangers_s = config.unprivileged_min_interval_s.max(STRANGERS_S);
        Ok(Self {
            daemon_uid: rustix::process::geteuid().as_raw(),
            token,
            group: group.map(Arc::new),
            strangers: Mutex::new((Gate::new(strangers_s), Arc::new(Coarse::of(&nothing, None, strangers_s)))),
            trusted: Mutex::new((Gate::new(config.unprivileged_min_interval_s), Arc::new(nothing))),
        })
    }

    /// The trusted group, where there is one.
    pub(super) fn group(&self) -> Option<Arc<TrustedGroup>> {
        self.group.clone()
    }

    /// What a caller with these headers may see.
    pub(super) fn reader(&self, caller: Caller, headers: &HeaderMap) -> Result<Reader, Problem> {
        if let Some(presented) = headers.get(header::AUTHORIZATION).and_then(|v| bearer(v.as_bytes())) {
            return match &self.token {
                Some(token) if token.is(presented) => Ok(Reader::Full),
                Some(_) => Err(Problem::unauthorized("the token is not the one of serve.raw_token_file")),
                None => Err(Problem::unauthorized("no token is known here: serve.raw_token_file names the file of one")),
            };
        }
        Ok(match caller {
            Caller::Tcp => Reader::Public,
            Caller::Peer { uid, .. } if uid == 0 || uid == self.daemon_uid => Reader::Full,
            Caller::Peer { trusted: true, .. } => Reader::Trusted,
            Caller::Peer { uid, .. } => Reader::Own(uid),
        })
    }

    /// What a reader sees of the latest snapshot, or of one user in it.
    pub(super) fn look(&self, reader: Reader, uid: Option<u32>, cell: &SnapshotCell) -> Result<Reading, Problem> {
        let fine = |snapshot: Arc<Snapshot>| match uid {
            Some(uid) => {
                let rests = unlisted(&snapshot.users, &snapshot.workloads);
                Reading { snapshot: Arc::new(own::of(&snapshot, &rests, uid)), view: View::Fine, user: Some(uid) }
            }
            None => Reading { snapshot, view: View::Fine, user: None },
        };
        match reader {
            Reader::Full => Ok(fine(cell.load())),
            Reader::Trusted => Ok(fine(self.for_the_trusted(cell))),
            Reader::Own(me) if uid.is_none_or(|asked| asked == me) => {
                let snapshot = Arc::new(self.for_strangers(cell).of_user(me));
                Ok(Reading { snapshot, view: View::Coarse, user: Some(me) })
            }
            Reader::Own(me) => Err(Problem::foreign(format!(
                "user {me} may see the energy of user {me} alone: leave uid out, or ask as root, as a member of serve.trusted_group or with the token of serve.raw_token_file"
            ))),
            Reader::Public if uid.is_some() => Err(Problem::foreign(
                "a caller over TCP has no user: ask over the socket, or with the token of serve.raw_token_file",
            )),
            Reader::Public => Ok(Reading { snapshot: self.public(cell), view: View::Coarse, user: None }),
        }
    }

    /// The whole host as strangers see it.
    pub(super) fn public(&self, cell: &SnapshotCell) -> Arc<Snapshot> {
        self.for_strangers(cell).whole()
    }

    fn for_strangers(&self, cell: &SnapshotCell) -> Arc<Coarse> {
        let (latest, mut shown) = (cell.load(), self.strangers.lock().unwrap_or_else(PoisonError::into_inner));
        let (gate, coarse) = &mut *shown;
        if gate.opens(&latest) {
            *coarse = Arc::new(Coarse::of(&latest, Some(coarse), gate.interval_s()));
        }
        Arc::clone(coarse)
    }

    fn for_the_trusted(&self, cell: &SnapshotCell) -> Arc<Snapshot> {
        let (latest, mut shown) = (cell.load(), self.trusted.lock().unwrap_or_else(PoisonError::into_inner));
        if shown.0.opens(&latest) {
            shown.1 = latest;
        }
        Arc::clone(&shown.1)
    }
}

impl FromRequestParts<Arc<Daemon>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, daemon: &Arc<Daemon>) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<ConnectInfo<Caller>>().map_or(Caller::Tcp, |info| info.0);
        let reader = daemon.access.reader(caller, &parts.headers)?;
        let open = daemon.config.read().unwrap_or_else(PoisonError::into_inner).serve.public_metrics;
        if reader == Self::Public && !open {
            return Err(Problem::closed(
                "serve.public_metrics = false: over TCP nothing is shown without the token of serve.raw_token_file; over the socket everybody sees their own",
            ));
        }
        Ok(reader)
    }
}

/// True where `file` holds a token and `presented` is it.
pub(crate) fn token_opens(file: &[u8], presented: &[u8]) -> bool {
    Token::parse(file).is_ok_and(|token| token.is(presented))
}

/// What follows `Bearer` in an `Authorization` header.
pub(crate) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at(value.iter().position(|&b| b == b' ').unwrap_or(value.len()));
    scheme.eq_ignore_ascii_case(b"bearer").then_some(rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn access() -> Access {
        Access { daemon_uid: 990, token: Some(Token::of("0123456789abcdef")), ..Access::new(&Serve::default()).unwrap() }
    }

    fn with(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
    }

    #[test]
    fn everybody_sees_what_their_rank_allows() {
        let (access, none) = (access(), HeaderMap::new());
        let peer = |uid, trusted| access.reader(Caller::Peer { uid, trusted }, &none).unwrap();
        assert_eq!(access.reader(Caller::Tcp, &none).unwrap(), Reader::Public);
        assert_eq!((peer(0, false), peer(990, false)), (Reader::Full, Reader::Full));
        assert_eq!((peer(1000, true), peer(1000, false)), (Reader::Trusted, Reader::Own(1000)));
    }

    #[test]
    fn a_token_opens_everything_and_a_wrong_one_nothing() {
        let access = access();
        for caller in [Caller::Tcp, Caller::Peer { uid: 1000, trusted: false }, Caller::Peer { uid: 0, trusted: false }] {
            for right in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef "] {
                assert_eq!(access.reader(caller, &with(right)).unwrap(), Reader::Full);
            }
            for wrong in ["Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Bearer"] {
                let problem = serde_json::to_string(&access.reader(caller, &with(wrong)).unwrap_err()).unwrap();
                assert!(problem.contains("401") && !problem.contains("0123456789abcde"), "{problem}");
            }
        }
        assert_eq!(access.reader(Caller::Tcp, &with("Basic MDEyMzQ1Njc4OWFiY2RlZg==")).unwrap(), Reader::Public);
        let none = Access::new(&Serve::default()).unwrap();
        assert!(none.reader(Caller::Tcp, &with("Bearer 0123456789abcdef")).is_err(), "where there is no token, none is right");
    }

    #[test]
    fn another_user_is_refused_and_the_mend_is_named() {
        let cell = SnapshotCell::new(Snapshot::empty(jiff::Timestamp::UNIX_EPOCH, 1.0));
        let access = access();
        for (reader, uid) in [(Reader::Own(1000), 0), (Reader::Own(1000), 1001), (Reader::Public, 0)] {
            let problem = serde_json::to_value(access.look(reader, Some(uid), &cell).unwrap_err()).unwrap();
            assert_eq!((problem["status"].as_u64(), problem["field"].as_str()), (Some(403), Some("uid")));
            assert!(problem["detail"].as_str().unwrap().contains("serve.raw_token_file"), "{problem}");
        }
        for reader in [Reader::Full, Reader::Trusted, Reader::Own(1000)] {
            assert_eq!(access.look(reader, Some(1000), &cell).unwrap().user, Some(1000));
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_is_no_token(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(token) = bearer(&bytes) {
                prop_assert!(!token.starts_with(b" ") && token.len() + 6 <= bytes.len());
            }
        }
    }
}
