//! `hythe registry ca`: what clients have to trust, and how each of them is told to.
//!
//! What is not the certificate is written as comments, which every reader of such files skips:
//! the whole answer can be saved as `ca.crt`.

use clap::Args;
use hythe_server::{Authority, Maintenance};

use super::stores::StoreArguments;
use crate::failure::Outcome;
use crate::output;

#[derive(Debug, Args)]
pub(super) struct CaArguments {
    /// The name clients know the registry by, for what is said of their files
    #[arg(long, value_name = "HOST:PORT", default_value = "REGISTRY:5000")]
    host: String,
    /// Address that the registry serves on, where the configuration does not say it
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

pub(super) fn run(arguments: &CaArguments, stores: &StoreArguments) -> Outcome {
    let mut config = stores.config_for(arguments.listen.as_deref())?;
    if config.http.tls.is_none() {
        // Not asked for on this address; what it would be is still asked here.
        config = stores.config_with_tls(arguments.listen.as_deref())?;
    }
    let Some(authority) = Maintenance::authority(&config)? else {
        let reason = "this registry's certificate was given (tls.certificate): clients have to \
                      trust the authority that signed it";
        return Err(anyhow::anyhow!(reason).into());
    };
    output::print(&told(&authority, &arguments.host))?;
    Ok(0)
}

fn told(authority: &Authority, host: &str) -> String {
    format!(
        "# The authority of this registry ({path}).\n\
         # Save this as:\n\
         #   docker, hythe   /etc/docker/certs.d/{host}/ca.crt\n\
         #   podman, skopeo  /etc/containers/certs.d/{host}/ca.crt\n\
         #   containerd      /etc/containerd/certs.d/{host}/ca.crt, and beside it hosts.toml:\n\
         #       server = \"https://{host}\"\n\
         #       [host.\"https://{host}\"]\n\
         #         ca = \"/etc/containerd/certs.d/{host}/ca.crt\"\n\
         #   everything else on a machine: /usr/local/share/ca-certificates/hythe.crt,\n\
         #       then update-ca-certificates (Debian, Ubuntu), or\n\
         #       /etc/pki/ca-trust/source/anchors/hythe.crt, then update-ca-trust (Fedora, RHEL)\n\
         {pem}",
        path = authority.path.display(),
        pem = authority.pem,
    )
}
