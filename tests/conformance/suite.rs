//! Runs cases and holds what came of them against the ledger.
//!
//! The ledger may only shrink: a case that fails and is not listed fails the
//! run, and so does a listed one that holds, or one that is no case at all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Once;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

/// No case needs longer, also on the slowest real part.
const CASE_WITHIN: Duration = Duration::from_secs(120);
const AT_ONCE: usize = 4;

/// One statement about a part.
pub struct Case<World> {
    pub id: &'static str,
    pub run: fn(World) -> BoxFuture<'static, ()>,
}

/// Cases out of the functions `async fn(World)` of a module; a case's id is
/// its function's name.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        vec![$(crate::suite::Case {
            id: stringify!($name),
            run: |world| Box::pin($name(world)),
        }),+]
    };
}
pub(crate) use cases;

thread_local! {
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a panic says for the report, instead of printing it: a listed
/// failure is no news.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            SAID.with_borrow_mut(|said| *said = Some(info.to_string()));
            if tokio::task::try_id().is_none() {
                before(info);
            }
        }));
    });
}

async fn outcome(work: impl Future<Output = ()>) -> Result<(), String> {
    let caught = AssertUnwindSafe(tokio::time::timeout(CASE_WITHIN, work)).catch_unwind();
    match caught.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(format!("not done within {} s", CASE_WITHIN.as_secs())),
        Err(_) => Err(SAID
            .with_borrow_mut(Option::take)
            .unwrap_or_else(|| "panicked".to_owned())),
    }
}

/// The ledger: `case id: reason` a line, `#` for remarks.
fn read(ledger: &str) -> BTreeMap<&str, &str> {
    ledger
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (id, reason) = line.split_once(": ").expect("case id: reason");
            assert!(!reason.trim().is_empty(), "{id} is listed without a reason");
            (id.trim(), reason.trim())
        })
        .collect()
}

/// Runs every case, and panics unless exactly the listed ones fail.
/// `CATALYST_CASE` limits the run to cases whose id contains it.
pub async fn judge<World: Clone + Send + 'static>(
    subject: &str,
    world: World,
    cases: Vec<Case<World>>,
    ledger: &str,
) {
    listen();
    let known = read(ledger);
    let only = std::env::var("CATALYST_CASE").unwrap_or_default();
    let mut wrong: Vec<String> = known
        .keys()
        .filter(|id| !cases.iter().any(|case| case.id == **id))
        .map(|id| format!("{id}: listed, but no case"))
        .collect();
    let begun = Instant::now();
    let wanted: Vec<Case<World>> = cases
        .into_iter()
        .filter(|case| case.id.contains(&only))
        .collect();
    let count = wanted.len();
    let results: Vec<_> = futures::stream::iter(wanted)
        .map(|case| {
            let world = world.clone();
            // A task of its own, so that one that blocks holds up no other.
            let work = async move { (case.id, outcome((case.run)(world)).await) };
            async move { tokio::spawn(work).await.expect("the case's task") }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut differences = 0;
    for (id, result) in results {
        match (result, known.get(id)) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => wrong.push(format!("{id}: holds now; take it off the ledger")),
            (Err(_), Some(_)) => differences += 1,
            (Err(reason), None) => wrong.push(format!("{id}: {reason}")),
        }
    }
    println!(
        "{subject}: {count} cases, {differences} known differences, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    wrong.sort();
    assert!(wrong.is_empty(), "{subject}:\n\n{}\n", wrong.join("\n\n"));
}
