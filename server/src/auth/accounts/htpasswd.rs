//! Users of another registry, from its htpasswd file.

use serde::Serialize;

use super::{AccountError, Accounts};

/// What became of each line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Names that were added.
    pub added: Vec<String>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

impl Accounts {
    /// Adds every user of a file with bcrypt hashes, as registries have them.
    /// The passwords stay what they are.
    pub async fn import_htpasswd(&self, text: &str) -> Result<Imported, AccountError> {
        let mut imported = Imported::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, hash)) = line.split_once(':') else {
                let reason = format!("line {}: not NAME:HASH", number + 1);
                imported.skipped.push(reason);
                continue;
            };
            if !is_bcrypt(hash) {
                let reason = format!("{name}: not a bcrypt hash (htpasswd -B)");
                imported.skipped.push(reason);
                continue;
            }
            match self.add(name, false, Some(hash.to_owned())).await {
                Ok(()) => {
                    self.note("import user", name).await;
                    imported.added.push(name.to_owned());
                }
                Err(AccountError::Db(error)) => return Err(error.into()),
                Err(other) => imported.skipped.push(format!("{name}: {other}")),
            }
        }
        Ok(imported)
    }
}

fn is_bcrypt(hash: &str) -> bool {
    ["$2y$", "$2a$", "$2b$"]
        .iter()
        .any(|prefix| hash.starts_with(prefix))
        && hash.len() == 60
}
