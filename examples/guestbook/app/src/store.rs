//! The entries in PostgreSQL. One connection, made when first needed and again
//! after it broke, so that the database may start later or restart meanwhile.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postgres::{Client, Config, NoTls};

/// One entry, as it is shown.
pub struct Entry {
    pub author: String,
    pub message: String,
    pub at: String,
}

pub struct Store {
    config: Config,
    client: Mutex<Option<Client>>,
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author TEXT NOT NULL, message TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL DEFAULT now())";

impl Store {
    pub fn new(url: &str) -> Result<Self, postgres::Error> {
        let mut config: Config = url.parse()?;
        config.connect_timeout(Duration::from_secs(3));
        Ok(Self {
            config,
            client: Mutex::new(None),
        })
    }

    pub fn ping(&self) -> Result<(), String> {
        self.run(|client| client.simple_query("SELECT 1").map(drop))
    }

    /// The newest hundred, newest first.
    pub fn entries(&self) -> Result<Vec<Entry>, String> {
        self.run(|client| {
            let rows = client.query(
                "SELECT author, message, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"')
                 FROM entries ORDER BY id DESC LIMIT 100",
                &[],
            )?;
            rows.iter()
                .map(|row| {
                    Ok(Entry {
                        author: row.try_get(0)?,
                        message: row.try_get(1)?,
                        at: row.try_get(2)?,
                    })
                })
                .collect()
        })
    }

    pub fn add(&self, author: &str, message: &str) -> Result<(), String> {
        self.run(|client| {
            client
                .execute(
                    "INSERT INTO entries (author, message) VALUES ($1, $2)",
                    &[&author, &message],
                )
                .map(drop)
        })
    }

    /// Runs one operation. A connection found closed before the operation began
    /// is replaced; an operation that failed midway is not repeated, because an
    /// entry must not appear twice.
    fn run<T>(
        &self,
        operation: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
    ) -> Result<T, String> {
        let mut slot: MutexGuard<'_, Option<Client>> =
            self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = slot
            .as_mut()
            .is_some_and(|client| client.is_valid(Duration::from_secs(3)).is_ok());
        if !usable {
            *slot = None;
        }
        let client = match slot.take() {
            Some(client) => slot.insert(client),
            None => slot.insert(self.connect()?),
        };
        operation(client).map_err(|error| {
            eprintln!("guestbook: the database refused an operation: {error}");
            "The database did not answer as expected. Please try again.".to_owned()
        })
    }

    fn connect(&self) -> Result<Client, String> {
        self.config
            .connect(NoTls)
            .and_then(|mut client| {
                // Two copies may start at once: the lock makes one of them wait.
                client.batch_execute(&format!(
                    "SELECT pg_advisory_lock(714); {TABLE}; SELECT pg_advisory_unlock(714)"
                ))?;
                Ok(client)
            })
            .map_err(|error| {
                eprintln!("guestbook: cannot reach the database: {error}");
                "The database cannot be reached right now. Please try again in a moment.".to_owned()
            })
    }
}
