//! What the environment says: the key, the host and the project.

use std::env::{self, VarError};

use crate::builder::ClientBuilder;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::http::US;
use crate::project::Project;

const KEY: &str = "POSTHOG_PERSONAL_API_KEY";
const HOST: &str = "POSTHOG_HOST";
const PROJECT: &str = "POSTHOG_PROJECT_ID";

impl ClientBuilder {
    /// Starts a client from the environment: `POSTHOG_PERSONAL_API_KEY`, and `POSTHOG_HOST`, which
    /// defaults to [`US`](crate::US).
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the key is not set, or a variable is empty or not
    /// UTF-8.
    pub fn from_env() -> Result<ClientBuilder> {
        let key = required(KEY, "make a personal API key in PostHog's settings")?;
        Ok(Client::builder(key).host(variable(HOST)?.unwrap_or_else(|| US.to_owned())))
    }
}

impl Client {
    /// A client from the environment, with every other default. See [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) as from [`ClientBuilder::from_env`] and
    /// [`ClientBuilder::build`].
    pub fn from_env() -> Result<Client> {
        ClientBuilder::from_env()?.build()
    }
}

impl Project {
    /// The project in the environment: `POSTHOG_PROJECT_ID`, and what [`Client::from_env`] reads.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a variable is not set, empty or not valid.
    pub fn from_env() -> Result<Project> {
        let client = Client::from_env()?;
        let id = required(PROJECT, "it is the number in the project's address")?;
        match id.trim().parse() {
            Ok(id) if id > 0 => Ok(client.project(id)),
            _ => Err(Error::config(format!("{PROJECT} is not the number of a project"))),
        }
    }
}

fn required(name: &str, hint: &str) -> Result<String> {
    variable(name)?.ok_or_else(|| Error::config(format!("{name} is not set: {hint}")))
}

/// A variable of the environment. An empty one is an error.
fn variable(name: &str) -> Result<Option<String>> {
    let wrong = |why| Err(Error::config(format!("{name} {why}")));
    match env::var(name) {
        Ok(value) if value.trim().is_empty() => wrong("is set but empty; set it, or unset it"),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => wrong("is not valid UTF-8"),
    }
}
