//! Serves a registry that is open to everyone on 127.0.0.1 and the port given
//! as the first argument, with its data in the folder given as the second (a
//! new temporary one otherwise). For conformance runs and for trying clients;
//! the real thing is `catalyst up`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use catalyst_registry::{AnonymousAccess, Config, Registry};
use catalyst_store::{Options, Store};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments
        .next()
        .ok_or("give a port as the first argument")?
        .parse()?;
    let (_kept, data) = match arguments.next() {
        Some(data) => (None, PathBuf::from(data)),
        None => {
            let folder = tempfile::tempdir()?;
            let path = folder.path().to_owned();
            (Some(folder), path)
        }
    };
    std::fs::create_dir_all(&data)?;
    let store = Store::open(data.join("store"), Options::default())?;
    let mut config = Config::new(&data, store, Arc::new(AnonymousAccess));
    config.anonymous_ping = true;
    let registry = Registry::open(config).await?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, registry.router()).await?;
    Ok(())
}
