//! `~/.docker/config.json`: the parts about logins are read and changed, the rest is kept as is.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hythe_oci::login_file::{LoginEntry, hostname};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{Login, TOKEN_USER, helper};

/// The file's content.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    content: Map<String, Value>,
}

impl ConfigFile {
    /// Reads `$DOCKER_CONFIG/config.json`, else the one in the home folder. A missing file is an
    /// empty one.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let folder = match std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => std::env::home_dir()
                .unwrap_or_else(|| PathBuf::from("/"))
                .join(".docker"),
        };
        Self::load_from(&folder.join("config.json"))
    }

    fn load_from(path: &Path) -> anyhow::Result<Self> {
        let content = match std::fs::read(path) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => Map::new(),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not valid", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The login for a server, from its helper or from the file.
    pub(crate) fn login(&self, server: &str) -> anyhow::Result<Option<Login>> {
        if let Some(helper) = self.helper(server) {
            let found = helper::get(helper, server)?;
            return Ok(found.map(|found| login_of(found.username, found.secret, server)));
        }
        let Some(auths) = self.content.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        let entry = auths.get(server).or_else(|| {
            // Old files have `https://host/v1/` where newer ones have the host.
            let found = auths
                .iter()
                .find(|(key, _)| hostname(key) == hostname(server));
            found.map(|(_, entry)| entry)
        });
        entry.map(|entry| login_of_entry(entry, server)).transpose()
    }

    /// All the logins that can be found without being told a server's name.
    pub(super) fn all_logins(&self) -> anyhow::Result<BTreeMap<String, Login>> {
        let auths = self.content.get("auths").and_then(Value::as_object);
        let helpers = self.content.get("credHelpers").and_then(Value::as_object);
        let mut servers: Vec<String> = auths
            .into_iter()
            .chain(helpers)
            .flat_map(|object| object.keys().cloned())
            .collect();
        if let Some(store) = self.store() {
            servers.extend(helper::list(store)?);
        }
        servers.sort();
        servers.dedup();
        let mut logins = BTreeMap::new();
        for server in servers {
            if let Some(login) = self.login(&server)? {
                logins.insert(server, login);
            }
        }
        Ok(logins)
    }

    /// Keeps a login. Returns whether it lies in the file, readable to whoever reads the file.
    pub(crate) fn keep(&mut self, login: &Login) -> anyhow::Result<bool> {
        let server = login.server_address.clone();
        if let Some(helper) = self.helper(&server) {
            helper::store(helper, login)?;
            // An empty entry is how docker remembers that there is one.
            self.set_entry(&server, Value::Object(Map::new()));
            self.save()?;
            return Ok(false);
        }
        let entry = if login.identity_token.is_empty() {
            let pair = STANDARD.encode(format!("{}:{}", login.username, login.password));
            serde_json::json!({ "auth": pair })
        } else {
            let pair = STANDARD.encode(format!("{}:", login.username));
            serde_json::json!({ "auth": pair, "identitytoken": login.identity_token })
        };
        self.set_entry(&server, entry);
        self.save()?;
        Ok(true)
    }

    /// Forgets a login; false when there was none.
    pub(crate) fn forget(&mut self, server: &str) -> anyhow::Result<bool> {
        if let Some(helper) = self.helper(server) {
            helper::erase(helper, server)?;
        }
        let removed = match self.content.get_mut("auths").and_then(Value::as_object_mut) {
            Some(auths) => auths.remove(server).is_some(),
            None => false,
        };
        if removed {
            self.save()?;
        }
        Ok(removed)
    }

    fn set_entry(&mut self, server: &str, entry: Value) {
        let auths = self
            .content
            .entry("auths")
            .or_insert_with(|| Value::Object(Map::new()));
        if !auths.is_object() {
            *auths = Value::Object(Map::new());
        }
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(server.to_owned(), entry);
        }
    }

    /// The helper that keeps this server's login, if one does.
    fn helper(&self, server: &str) -> Option<&str> {
        let helpers = self.content.get("credHelpers").and_then(Value::as_object);
        helpers
            .and_then(|helpers| {
                helpers
                    .get(server)
                    .or_else(|| helpers.get(hostname(server)))
            })
            .and_then(Value::as_str)
            .filter(|helper| !helper.is_empty())
            .or_else(|| self.store())
    }

    fn store(&self) -> Option<&str> {
        self.content
            .get("credsStore")
            .and_then(Value::as_str)
            .filter(|store| !store.is_empty())
    }

    /// Writes the file whole, for the user's eyes only.
    fn save(&self) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        // A link stays a link: what it leads to is replaced.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).with_context(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
        let mut text = serde_json::to_vec_pretty(&self.content)?;
        text.push(b'\n');
        file.write_all(&text).with_context(failed)?;
        file.as_file().sync_all().with_context(failed)?;
        file.persist(&path).with_context(failed)?;
        Ok(())
    }
}

fn login_of(username: String, secret: String, server: &str) -> Login {
    let server_address = server.to_owned();
    if username == TOKEN_USER {
        Login {
            identity_token: secret,
            server_address,
            ..Login::default()
        }
    } else {
        Login {
            username,
            password: secret,
            server_address,
            ..Login::default()
        }
    }
}

fn login_of_entry(entry: &Value, server: &str) -> anyhow::Result<Login> {
    let entry = LoginEntry::deserialize(entry)
        .with_context(|| format!("the login for {server} cannot be read"))?;
    Ok(Login {
        username: entry.username,
        password: entry.password,
        identity_token: entry.identity_token,
        server_address: server.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    fn file(content: &Value) -> (tempfile::TempDir, ConfigFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, content.to_string()).unwrap();
        let file = ConfigFile::load_from(&path).unwrap();
        (folder, file)
    }

    #[test]
    fn logins_are_found() {
        let (_folder, file) = file(&json!({"auths": {
            "127.0.0.1:5000": {"auth": STANDARD.encode("me:pass:word")},
            "https://old.example/v1/": {"username": "u", "password": "p"},
            "token.example": {"auth": STANDARD.encode("t:"), "identitytoken": "abc"},
            "bad.example": {"auth": "!"},
        }}));
        let login = file.login("127.0.0.1:5000").unwrap().unwrap();
        assert_eq!((&*login.username, &*login.password), ("me", "pass:word"));
        assert_eq!(file.login("old.example").unwrap().unwrap().username, "u");
        assert_eq!(
            file.login("token.example").unwrap().unwrap().identity_token,
            "abc"
        );
        assert!(file.login("bad.example").is_err());
        assert!(file.login("none.example").unwrap().is_none());
    }

    #[test]
    fn the_rest_of_the_file_is_kept() {
        let (_folder, mut file) = file(&json!({"psFormat": "x", "auths": {"a": {"auth": "eDp5"}}}));
        let login = Login {
            username: "me".to_owned(),
            password: "secret".to_owned(),
            server_address: "b:5000".to_owned(),
            ..Login::default()
        };
        assert!(file.keep(&login).unwrap());
        let mut file = ConfigFile::load_from(&file.path).unwrap();
        assert_eq!(file.content["psFormat"], "x");
        assert_eq!(file.login("b:5000").unwrap(), Some(login));
        assert!(file.forget("b:5000").unwrap());
        assert!(!file.forget("b:5000").unwrap());
        let file = ConfigFile::load_from(&file.path).unwrap();
        assert!(file.login("a").unwrap().is_some());
        assert!(file.login("b:5000").unwrap().is_none());
    }

    #[test]
    fn a_missing_file_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ConfigFile::load_from(&folder.path().join("new/config.json")).unwrap();
        assert!(file.login("a").unwrap().is_none());
        assert!(
            file.keep(&Login {
                server_address: "a".to_owned(),
                ..Login::default()
            })
            .unwrap()
        );
        let mode = file.path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
