//! Whoever has a watch, a log or a command open is looked at again while it is:
//! what a new request would be refused, an open one loses.
//!
//! Made by `pipeline` for requests that last. What must stay true: a stream ends
//! within seconds of its user losing the right to it, whether or not anything
//! happens on it; one whose user cannot lose it costs nothing; none ends because
//! the issuer was away for a moment, nor because the token that opened it has
//! expired, as long as somebody can say that its user is still who they were;
//! and none lasts longer than [`LONGEST`].

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::authenticate::Authenticated;
use crate::pipeline::{impersonates, permit};
use crate::request::RequestInfo;
use crate::state::Inner;
use crate::status::ApiError;

/// The longest that anything stays open, however much happens on it; clients open
/// it again with a token of then. A kubelet lets go of a stream on which nothing
/// was said for as long (`streamingConnectionIdleTimeout`).
pub(crate) const LONGEST: Duration = Duration::from_secs(4 * 3600);
/// How often the issuer's word is asked for while a stream is open.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How many looks in a row may find nobody to ask.
const FAILURES: u32 = 5;

/// Asks whether who made a request is still who they were: signed in, and in the
/// groups that their token names. The binary may put one into a request's
/// extensions, beside a token whose holder its issuer can end at any time; it is
/// asked again and again while a watch, a log or a command is open. That the
/// token expires meanwhile is no reason to say no: it was good when it was shown.
#[derive(Clone)]
pub struct Standing(Arc<Ask>);

type Ask = dyn Fn() -> BoxFuture<'static, Stands> + Send + Sync;

/// The answer to a [`Standing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// As before.
    Yes,
    /// The user is gone, or the sign-in is over.
    Ended,
    /// Nobody could be asked.
    Unknown,
}

impl Standing {
    /// Asks by calling `ask`, which should answer within seconds.
    pub fn new<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Stands> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    /// Asks.
    pub async fn ask(&self) -> Stands {
        (self.0)().await
    }
}

/// What a stream asks whether it must end; looks go on until it is dropped.
pub(crate) struct Guard(Option<oneshot::Receiver<ApiError>>);

/// What is known of the one who opened a stream.
pub(crate) struct Opened {
    pub inner: Arc<Inner>,
    pub authenticated: Authenticated,
    pub info: RequestInfo,
    pub headers: HeaderMap,
    pub standing: Option<Standing>,
}

impl Guard {
    /// Looks at nobody.
    pub fn none() -> Self {
        Self(None)
    }

    /// Begins to look.
    pub fn over(opened: Opened) -> Self {
        if opened.is_for_good() {
            return Self::none();
        }
        let (mut refused, receiver) = oneshot::channel();
        // A task of its own: a stream that its client does not read is not
        // polled, and one that is read fast must not put off the looks.
        tokio::spawn(async move {
            let refusal = tokio::select! {
                biased;
                () = refused.closed() => return,
                refusal = opened.refusal() => refusal,
            };
            // The stream may just have ended by itself.
            drop(refused.send(refusal));
        });
        Self(Some(receiver))
    }

    /// Comes back once the stream must end, with what a new request would be
    /// told. May be dropped and called again.
    pub async fn ended(&mut self) -> ApiError {
        let Some(receiver) = &mut self.0 else {
            return std::future::pending().await;
        };
        let refusal = receiver.await;
        self.0 = None;
        refusal.unwrap_or_else(|_| {
            ApiError::unavailable("cannot tell whether this may stay open; open it again")
        })
    }

    /// As [`Self::ended`], and at the latest after `limit`.
    pub async fn ended_within(&mut self, limit: Duration) -> ApiError {
        let ended = tokio::time::timeout(limit, self.ended()).await;
        ended.unwrap_or_else(|_| {
            ApiError::timeout(format!(
                "nothing stays open for longer than {} s; open it again",
                limit.as_secs()
            ))
        })
    }
}

impl Opened {
    /// Whether nothing can take away what was asked for.
    fn is_for_good(&self) -> bool {
        self.standing.is_none() && self.end_of_token().is_none() && self.is_above_policy()
    }

    fn end_of_token(&self) -> Option<i64> {
        end_of_token(&self.authenticated, self.standing.is_some())
    }

    fn is_above_policy(&self) -> bool {
        self.authenticated.identity.is_administrator() && !impersonates(&self.headers)
    }

    async fn refusal(&self) -> ApiError {
        tokio::select! {
            refusal = self.rights_lost() => refusal,
            refusal = expired(self.end_of_token()) => refusal,
            refusal = ended(self.standing.as_ref(), LOOK_AGAIN) => refusal,
        }
    }

    /// Waits until the policy of the cluster, or the end of a service account,
    /// takes away what was asked for. Woken by changes only: a cluster in which
    /// nobody's rights change has nothing to look at.
    async fn rights_lost(&self) -> ApiError {
        // Across all clusters there is no policy; administrators only get so far.
        if self.is_above_policy() || self.info.cluster == "*" {
            return std::future::pending().await;
        }
        let gone = || ApiError::not_found("", "clusters", &self.info.cluster);
        let Some(mut rights) = self.inner.rights(&self.info.cluster) else {
            return gone();
        };
        loop {
            // At once too: something may have changed since the request came in.
            let account = self.authenticated.account.as_ref();
            if account.is_some_and(|account| !account.stands(&self.inner, &self.info.cluster)) {
                return ApiError::unauthorized();
            }
            if let Err(refusal) =
                permit(&self.inner, &self.info, &self.headers, &self.authenticated)
            {
                return refusal;
            }
            if rights.changed().await.is_err() {
                return gone();
            }
        }
    }
}

/// When a stream ends with the token that opened it. A token is judged when a
/// request begins, as a kube-apiserver does; afterwards its holder is looked at,
/// by the issuer's word or by the service account's object. Only where nobody can
/// be looked at is the token all there is, and what it says of its holder counts
/// no longer than for a new request.
fn end_of_token(authenticated: &Authenticated, has_standing: bool) -> Option<i64> {
    let is_looked_at = has_standing || authenticated.account.is_some();
    authenticated.until.filter(|_| !is_looked_at)
}

/// Waits until a token's last second, in Unix time, is over.
async fn expired(until: Option<i64>) -> ApiError {
    let Some(until) = until else {
        return std::future::pending().await;
    };
    let left = until.saturating_sub(jiff::Timestamp::now().as_second());
    tokio::time::sleep(Duration::from_secs(u64::try_from(left).unwrap_or(0))).await;
    ApiError::unauthorized()
}

/// Waits until the issuer says that the sign-in is over, or says nothing for too
/// long; asks again after each `pause`.
async fn ended(standing: Option<&Standing>, pause: Duration) -> ApiError {
    let Some(standing) = standing else {
        return std::future::pending().await;
    };
    let mut looks = tokio::time::interval(pause);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        looks.tick().await;
        match standing.ask().await {
            Stands::Yes => failures = 0,
            Stands::Ended => return ApiError::unauthorized(),
            Stands::Unknown if failures < FAILURES => failures += 1,
            Stands::Unknown => {
                return ApiError::unavailable(
                    "cannot tell whether its user is still signed in, since the issuer does not answer; try again in a moment",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::identity::Identity;

    const PAUSE: Duration = Duration::from_millis(1);

    /// Gives these answers, and the last one ever after.
    fn answering(answers: &'static [Stands]) -> (Standing, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let standing = Standing::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let answer = answers.get(number).or(answers.last()).copied();
            async move { answer.unwrap_or(Stands::Yes) }
        });
        (standing, asked)
    }

    async fn within<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), what)
            .await
            .expect("not within 10 s")
    }

    #[tokio::test]
    async fn an_issuer_that_is_away_for_a_moment_ends_nothing() {
        use Stands::{Ended, Unknown, Yes};
        let (standing, asked) = answering(&[
            Yes, Unknown, Unknown, Unknown, Unknown, Unknown, Yes, Unknown, Yes, Ended,
        ]);
        let refusal = within(ended(Some(&standing), PAUSE)).await;
        assert_eq!(refusal.code, 401);
        assert_eq!(asked.load(Ordering::SeqCst), 10);
    }

    #[tokio::test]
    async fn an_issuer_that_stays_away_ends_the_stream() {
        let (standing, asked) = answering(&[Stands::Yes, Stands::Unknown]);
        let refusal = within(ended(Some(&standing), PAUSE)).await;
        assert_eq!(refusal.code, 503);
        assert_eq!(asked.load(Ordering::SeqCst), 7);
    }

    #[test]
    fn a_token_counts_to_its_end_where_nobody_can_be_looked_at() {
        let mut authenticated = Authenticated::from(Identity::administrator("admin"));
        assert_eq!(end_of_token(&authenticated, false), None);
        authenticated.until = Some(5);
        assert_eq!(end_of_token(&authenticated, false), Some(5));
        assert_eq!(end_of_token(&authenticated, true), None);
    }

    #[tokio::test]
    async fn nothing_stays_open_for_ever() {
        let refusal = within(Guard::none().ended_within(PAUSE)).await;
        assert_eq!((refusal.code, refusal.reason), (504, "Timeout"));
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_token() {
        let now = jiff::Timestamp::now().as_second();
        let refusal = tokio::select! {
            refusal = expired(Some(now + 3600)) => panic!("ended an hour early: {refusal}"),
            refusal = expired(None) => panic!("without an end, it ended: {refusal}"),
            refusal = within(expired(Some(now - 1))) => refusal,
        };
        assert_eq!(refusal.code, 401);
    }
}
