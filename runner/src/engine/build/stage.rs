//! An image in the making.

use std::collections::BTreeMap;

use hythe_oci::ImageId;

use crate::dockerfile::{ImageDescription, Variables};

/// Variables of proxies, which need no ARG and leave no trace in the image.
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// From one FROM to the next.
#[derive(Debug)]
pub(super) struct Stage {
    /// `AS name`.
    pub(super) name: Option<String>,
    /// The newest step.
    pub(super) image: ImageId,
    pub(super) description: ImageDescription,
    /// What ARG has declared here and has a value.
    pub(super) arguments: BTreeMap<String, String>,
    /// A step was not found: those after it are not looked for.
    pub(super) is_cache_broken: bool,
    /// It was made here and is not just its base.
    pub(super) has_steps: bool,
}

impl Stage {
    /// What `$NAME` means now: the environment wins over arguments.
    pub(super) fn variables(&self) -> Variables {
        let mut variables = Variables::default();
        for (name, value) in &self.arguments {
            variables.set(name, value);
        }
        for entry in &self.description.config.env {
            if let Some((name, value)) = entry.split_once('=') {
                variables.set(name, value);
            }
        }
        variables
    }

    /// Arguments that a RUN sees and that its result depends on: `NAME=value`, without those that
    /// the environment hides.
    pub(super) fn run_arguments(&self) -> Vec<String> {
        let hidden = |name: &str| {
            let mut env = self.description.config.env.iter();
            env.any(|entry| entry.split('=').next() == Some(name))
        };
        let arguments = self.arguments.iter();
        arguments
            .filter(|(name, _)| !hidden(name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

pub(super) fn is_predefined(name: &str) -> bool {
    PREDEFINED.contains(&name)
}
