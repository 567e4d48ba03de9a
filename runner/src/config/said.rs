//! What the file, the environment or the flags say: every key optional, nothing checked yet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One source of settings, in the words of `config/agent.toml`. Later sources win key by key:
/// file, then `HYTHE_*` environment, then flags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Said {
    /// Path of the API's unix socket (`HYTHE_SOCKET`).
    pub socket: Option<PathBuf>,
    /// Group that may use the socket.
    pub group: Option<String>,
    /// `tcp://ADDRESS:PORT` to serve as well; needs the three `tls-` files.
    pub tcp: Option<String>,
    pub tls_ca_cert: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Images, containers, volumes.
    pub data: Option<PathBuf>,
    /// Run-time files that a reboot may lose.
    pub exec_root: Option<PathBuf>,
    /// Names the bridge, the nft table and the cgroup of this agent.
    pub instance: Option<String>,
    pub registry_mirrors: Option<Vec<String>>,
    pub insecure_registries: Option<Vec<String>>,
    /// The agent's own logins, as docker's `config.json` has them.
    pub registry_auth_file: Option<PathBuf>,
    pub default_registry: Option<String>,
    pub max_concurrent_downloads: Option<usize>,
    pub max_concurrent_uploads: Option<usize>,
    /// What one layer may unpack to.
    pub max_layer_size: Option<String>,
    /// Address and prefix of the default bridge.
    pub bip: Option<String>,
    /// `base=CIDR,size=N`.
    pub default_address_pools: Option<Vec<String>>,
    pub mtu: Option<u32>,
    pub dns: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub dns_opts: Option<Vec<String>>,
    pub log_driver: Option<String>,
    pub log_opts: Option<BTreeMap<String, String>>,
    pub default_shm_size: Option<String>,
    /// `NAME=SOFT[:HARD]`.
    pub default_ulimits: Option<Vec<String>>,
    pub cgroup_parent: Option<String>,
    /// Run an init process in every container unless it says otherwise.
    pub init: Option<bool>,
    pub userns_remap: Option<String>,
    pub labels: Option<Vec<String>>,
    pub debug: Option<bool>,
}

macro_rules! merge_fields {
    ($over:ident, $under:ident, $($field:ident),* $(,)?) => {
        Said { $($field: $over.$field.or($under.$field)),* }
    };
}

/// How a variable's text becomes a value.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    /// Separated by commas.
    List,
    /// `key=value` separated by commas.
    Pairs,
}

/// Every key, by the name it has in the file.
const KEYS: &[(&str, Kind)] = &[
    ("socket", Kind::Text),
    ("group", Kind::Text),
    ("tcp", Kind::Text),
    ("tls-ca-cert", Kind::Text),
    ("tls-cert", Kind::Text),
    ("tls-key", Kind::Text),
    ("data", Kind::Text),
    ("exec-root", Kind::Text),
    ("instance", Kind::Text),
    ("registry-mirrors", Kind::List),
    ("insecure-registries", Kind::List),
    ("registry-auth-file", Kind::Text),
    ("default-registry", Kind::Text),
    ("max-concurrent-downloads", Kind::Number),
    ("max-concurrent-uploads", Kind::Number),
    ("max-layer-size", Kind::Text),
    ("bip", Kind::Text),
    ("default-address-pools", Kind::List),
    ("mtu", Kind::Number),
    ("dns", Kind::List),
    ("dns-search", Kind::List),
    ("dns-opts", Kind::List),
    ("log-driver", Kind::Text),
    ("log-opts", Kind::Pairs),
    ("default-shm-size", Kind::Text),
    ("default-ulimits", Kind::List),
    ("cgroup-parent", Kind::Text),
    ("init", Kind::Flag),
    ("userns-remap", Kind::Text),
    ("labels", Kind::List),
    ("debug", Kind::Flag),
];

/// The variable of a key: `HYTHE_` and the key in capitals.
fn variable(key: &str) -> String {
    format!("HYTHE_{}", key.to_ascii_uppercase().replace('-', "_"))
}

fn parse(kind: Kind, text: &str) -> Result<toml::Value, String> {
    let items = || {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
    };
    Ok(match kind {
        Kind::Text => toml::Value::String(text.to_owned()),
        Kind::Number => {
            toml::Value::Integer(text.parse().map_err(|_| format!("{text:?} is no number"))?)
        }
        Kind::Flag => match text {
            "1" | "true" | "yes" => toml::Value::Boolean(true),
            "0" | "false" | "no" => toml::Value::Boolean(false),
            _ => return Err(format!("{text:?} is neither true nor false")),
        },
        Kind::List => items()
            .map(|item| item.to_owned().into())
            .collect::<Vec<toml::Value>>()
            .into(),
        Kind::Pairs => {
            let mut pairs = toml::Table::new();
            for item in items() {
                let (key, value) = item
                    .split_once('=')
                    .ok_or_else(|| format!("{item:?} is no key=value"))?;
                pairs.insert(key.to_owned(), value.to_owned().into());
            }
            pairs.into()
        }
    })
}

impl Said {
    /// What the text of a file says.
    pub(super) fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What variables say; `lookup` answers for one name. The error names the variable.
    pub(super) fn from_variables(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, (String, String)> {
        let mut table = toml::Table::new();
        for (key, kind) in KEYS {
            let name = variable(key);
            if let Some(text) = lookup(&name) {
                let value = parse(*kind, &text).map_err(|reason| (name, reason))?;
                table.insert((*key).to_owned(), value);
            }
        }
        let wrong = |error: toml::de::Error| ("HYTHE_*".to_owned(), error.message().to_owned());
        table.try_into().map_err(wrong)
    }

    /// This source's word where it has one, else the `under` source's.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        merge_fields!(
            self,
            under,
            socket,
            group,
            tcp,
            tls_ca_cert,
            tls_cert,
            tls_key,
            data,
            exec_root,
            instance,
            registry_mirrors,
            insecure_registries,
            registry_auth_file,
            default_registry,
            max_concurrent_downloads,
            max_concurrent_uploads,
            max_layer_size,
            bip,
            default_address_pools,
            mtu,
            dns,
            dns_search,
            dns_opts,
            log_driver,
            log_opts,
            default_shm_size,
            default_ulimits,
            cgroup_parent,
            init,
            userns_remap,
            labels,
            debug,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file as shipped, and with every commented key switched on.
    fn shipped() -> (String, String) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/agent.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let is_key = |line: &str| {
            line.split_once(" = ")
                .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        };
        let uncommented = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if is_key(rest) => rest,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        (text, uncommented)
    }

    #[test]
    fn shipped_file_holds_every_key() {
        let (text, uncommented) = shipped();
        Said::from_toml(&text).unwrap();
        Said::from_toml(&uncommented).unwrap();
        let table: toml::Table = uncommented.parse().unwrap();
        let in_file: Vec<&str> = table.keys().map(String::as_str).collect();
        let mut known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        known.sort_unstable();
        assert_eq!(in_file, known);
    }

    #[test]
    fn variables_have_the_types_of_their_keys() {
        let said = Said::from_variables(|name| {
            let value = match name {
                "HYTHE_DATA" => "/d",
                "HYTHE_MTU" => "1400",
                "HYTHE_INIT" => "true",
                "HYTHE_DNS" => "1.1.1.1, 8.8.8.8",
                "HYTHE_LOG_OPTS" => "max-size=1m,max-file=2",
                _ => return None,
            };
            Some(value.to_owned())
        })
        .unwrap();
        assert_eq!(said.data, Some("/d".into()));
        assert_eq!((said.mtu, said.init), (Some(1400), Some(true)));
        assert_eq!(said.dns.unwrap(), ["1.1.1.1", "8.8.8.8"]);
        assert_eq!(said.log_opts.unwrap()["max-file"], "2");
        let wrong = Said::from_variables(|name| (name == "HYTHE_MTU").then(|| "x".to_owned()));
        assert_eq!(wrong.unwrap_err().0, "HYTHE_MTU");
    }

    #[test]
    fn a_source_wins_key_by_key() {
        let over = Said {
            debug: Some(true),
            ..Said::default()
        };
        let under = Said {
            debug: Some(false),
            mtu: Some(9000),
            ..Said::default()
        };
        let both = over.over(under);
        assert_eq!((both.debug, both.mtu), (Some(true), Some(9000)));
    }
}
