//! What `cargo dev` leaves for the phone: where everything is, and the tokens.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// A folder of this checkout that is not under version control.
pub const HOME: &str = ".trunkline";

/// A running `cargo dev`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Running {
    /// Where it listens.
    pub url: String,
    /// What signatures are computed over.
    pub public_url: String,
    pub auth_token: String,
    /// For the operator API.
    pub api_token: String,
    /// The exchange through which telephones reach the carrier.
    pub phones: String,
    /// The stand-in's REST API, and what a client of Twilio's needs besides `auth_token`.
    pub twilio_url: String,
    pub account_sid: String,
    pub verify_service_sid: String,
}

impl Running {
    pub fn read(home: &Path) -> anyhow::Result<Self> {
        let path = file(home);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("{} was not read; is `cargo dev` running in another terminal?", path.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is not understood", path.display()))
    }

    /// Writes it so that only its owner can read the tokens.
    pub fn write(&self, home: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(home).with_context(|| format!("{} was not created", home.display()))?;
        let path = file(home);
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{} was not written", path.display()))?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        Ok(())
    }

    pub fn forget(home: &Path) {
        // It may be gone already.
        let _ = fs::remove_file(file(home));
    }
}

fn file(home: &Path) -> PathBuf {
    home.join("running.json")
}
