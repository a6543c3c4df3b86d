//! How fast charts render: a chart of several parts that takes helm twice its own
//! start, in process, on one core.
//!
//! `cargo bench -p catalyst-helm`; part of `make bench`, which also takes the whole
//! process and helm beside it. Nothing here asserts a time.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use catalyst_helm::{
    Capabilities, Chart, Environment, Limits, NoHost, NoLookup, ReleaseOptions, Rendered, render,
};

/// How long each figure is taken, in time of the processor: others may want it too.
const SPAN: Duration = Duration::from_secs(2);
/// The bound of `shop`, in renderings a second.
const WANTED: f64 = 2_000.0;

fn main() {
    // Asked for by `cargo test --benches`: there is nothing to test.
    if std::env::args().any(|word| word == "--test") {
        return;
    }
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/shop"));
    let chart = Chart::from_files(files.clone()).unwrap();
    let rendered = rendered(&chart);
    println!(
        "shop: {} objects, {} bytes",
        rendered.manifests.len() + rendered.hooks.len(),
        rendered.to_string().len()
    );
    // For whoever counts instructions.
    if std::env::args().any(|word| word == "ten") {
        (0..10).for_each(|_| drop(self::rendered(&chart)));
        return;
    }
    let only = std::env::args().find(|word| word == "load" || word == "render");
    if only.as_deref() != Some("render") {
        let loads = rate(|| Chart::from_files(files.clone()).unwrap());
        println!("charts read in a second, one core       {loads:>10.0}");
    }
    if only.as_deref() != Some("load") {
        let renders = rate(|| self::rendered(&chart));
        println!("charts rendered in a second, one core   {renders:>10.0}   wanted {WANTED:.0}");
    }
}

fn rendered(chart: &Chart) -> Rendered {
    let values = serde_json::json!({"storefront": {"replicas": 4}});
    render(
        chart,
        &values,
        &Environment {
            release: &ReleaseOptions {
                name: "rel".to_owned(),
                namespace: "default".to_owned(),
                revision: 1,
                is_upgrade: false,
                service: "Helm".to_owned(),
            },
            capabilities: &Capabilities::default(),
            lookup: &NoLookup,
            host: &NoHost,
            limits: Limits::default(),
        },
    )
    .unwrap_or_else(|error| panic!("{error}"))
}

fn rate<T>(mut work: impl FnMut() -> T) -> f64 {
    let begun = used();
    let mut count = 0_u32;
    loop {
        std::hint::black_box(work());
        count += 1;
        let used = used() - begun;
        if used > SPAN {
            return f64::from(count) / used.as_secs_f64();
        }
    }
}

/// What this thread has had of the processor.
fn used() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}
