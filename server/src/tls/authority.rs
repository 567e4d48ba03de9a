//! A registry's own authority, for those who have no other: made once, with a
//! certificate for the registry that it signs.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use super::{TlsError, names};
use crate::config::MadeTls;

/// How long an authority lasts: clients are told to trust it once.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a certificate lasts; some clients take none that lasts longer.
const SERVER_DAYS: i64 = 397;
/// When another one is made, in seconds before its end.
const RENEW_SECONDS: i64 = 30 * 86_400;

/// What clients have to trust.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Where it is kept.
    pub path: PathBuf,
    /// The certificate.
    pub pem: String,
}

/// The files of a registry that makes its own.
#[derive(Clone, Debug)]
struct Folder {
    authority: PathBuf,
    authority_key: PathBuf,
    server: PathBuf,
    server_key: PathBuf,
}

impl Folder {
    fn of(config: &MadeTls) -> Self {
        let file = |name: &str| config.folder.join(name);
        Self {
            authority: file("ca.pem"),
            authority_key: file("ca-key.pem"),
            server: file("server.pem"),
            server_key: file("server-key.pem"),
        }
    }
}

impl Authority {
    /// The authority of a registry that makes its own, made now if need be.
    pub(crate) fn ensure(config: &MadeTls) -> Result<Self, TlsError> {
        let folder = Folder::of(config);
        std::fs::create_dir_all(&config.folder)
            .map_err(|error| TlsError::of(&config.folder, error))?;
        let path = folder.authority;
        if !path.exists() {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            let whose = format!("Hythe registry authority of {}", names_of(config)[1]);
            params.distinguished_name.push(DnType::CommonName, whose);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            last(&mut params, AUTHORITY_DAYS);
            let certificate = params.self_signed(&key)?;
            // The key first: a certificate is there only with its key.
            write(&folder.authority_key, &key.serialize_pem(), 0o600)?;
            write(&path, &certificate.pem(), 0o644)?;
            tracing::info!(authority = %path.display(), "an authority was made");
        }
        let pem = read(&path)?;
        Ok(Self { path, pem })
    }

    /// The registry's certificate and key, made now if there are none, or those
    /// that there are will not do for long.
    pub(super) fn ensure_server(config: &MadeTls) -> Result<(PathBuf, PathBuf), TlsError> {
        let authority = Self::ensure(config)?;
        let folder = Folder::of(config);
        let names = names_of(config);
        if !will_do(&folder.server, &names) || !folder.server_key.exists() {
            let authority_key = KeyPair::from_pem(&read(&folder.authority_key)?)?;
            let issuer = Issuer::from_ca_cert_pem(&authority.pem, authority_key)?;
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names.clone())?;
            params
                .distinguished_name
                .push(DnType::CommonName, "Hythe registry");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.use_authority_key_identifier_extension = true;
            last(&mut params, SERVER_DAYS);
            let certificate = params.signed_by(&key, &issuer)?;
            write(&folder.server_key, &key.serialize_pem(), 0o600)?;
            write(&folder.server, &certificate.pem(), 0o644)?;
            tracing::info!(names = names.join(", "), "a certificate was made");
        }
        Ok((folder.server, folder.server_key))
    }
}

fn names_of(config: &MadeTls) -> Vec<String> {
    names::of_this_machine(config.listen, &config.names)
}

/// From yesterday on, as clocks differ.
fn last(params: &mut CertificateParams, days: i64) {
    let now = jiff::Timestamp::now().as_second();
    let at = |seconds: i64| {
        let date = jiff::Timestamp::from_second(seconds)
            .unwrap_or_default()
            .to_zoned(jiff::tz::TimeZone::UTC);
        rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    params.not_before = at(now - 86_400);
    params.not_after = at(now + days * 86_400);
}

/// Whether a certificate is for these names, and for a while.
fn will_do(path: &Path, names: &[String]) -> bool {
    let Ok(bytes) = std::fs::read(path) else {
        return false;
    };
    let Ok((_, pem)) = parse_x509_pem(&bytes) else {
        return false;
    };
    let Ok(certificate) = pem.parse_x509() else {
        return false;
    };
    let left = certificate.validity().not_after.timestamp() - jiff::Timestamp::now().as_second();
    let known = said(&certificate);
    left > RENEW_SECONDS && names.iter().all(|name| known.contains(name))
}

/// The names that a certificate is for.
fn said(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    names.filter_map(text).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(bytes).to_string());
    }
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(bytes).to_string())
}

fn read(path: &Path) -> Result<String, TlsError> {
    std::fs::read_to_string(path).map_err(|error| TlsError::of(path, error))
}

/// Whole or not at all, and never readable by others for a moment.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let failed = |error| TlsError::of(path, error);
    let temporary = path.with_extension("new");
    if let Err(error) = std::fs::remove_file(&temporary)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(failed(error));
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_kept_until_the_name_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = MadeTls {
            folder: directory.path().join("tls"),
            listen: "192.0.2.1".parse().unwrap(),
            names: Vec::new(),
        };
        let (server, key) = Authority::ensure_server(&config).unwrap();
        let authority = Authority::ensure(&config).unwrap();
        let first = read(&server).unwrap();
        for secret in [&key, &config.folder.join("ca-key.pem")] {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(secret).unwrap());
            assert_eq!(mode & 0o777, 0o600, "{}", secret.display());
        }
        Authority::ensure_server(&config).unwrap();
        assert_eq!(read(&server).unwrap(), first);
        config.names = vec!["registry.example.com".to_owned()];
        Authority::ensure_server(&config).unwrap();
        assert_ne!(read(&server).unwrap(), first);
        assert_eq!(Authority::ensure(&config).unwrap().pem, authority.pem);
        std::fs::write(&server, "rubbish").unwrap();
        Authority::ensure_server(&config).unwrap();
        assert!(will_do(&server, &names_of(&config)));
    }
}
