//! Platforms: what system an image is for, and which of several fits best.
//!
//! Names and order of preference are containerd's (`platforms` package), which docker has too.
//! Pure, apart from knowing what this program was built for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The system an image is for, image spec `image-index.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// In Go's words: `amd64`, `arm64`.
    pub architecture: String,
    pub os: String,
    /// `v7` of `arm`; left out where an architecture has no kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

impl Platform {
    /// The system this program was built for.
    pub fn host() -> Self {
        let (architecture, variant) = normalized(std::env::consts::ARCH, None);
        Self {
            architecture,
            os: "linux".to_owned(),
            variant,
            os_version: None,
        }
    }

    /// Reads `os[/architecture[/variant]]`, or an architecture alone, as `--platform` has it.
    pub fn parse(text: &str) -> Option<Self> {
        let word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let text = text.to_ascii_lowercase();
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return None;
        }
        let (os, architecture, variant) = match parts[..] {
            [os @ ("linux" | "windows" | "darwin" | "freebsd")] => {
                (os, std::env::consts::ARCH, None)
            }
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return None,
        };
        let (architecture, variant) = normalized(architecture, variant);
        Some(Self {
            architecture,
            os: os.to_owned(),
            variant,
            os_version: None,
        })
    }

    /// Whether something made for `self` runs where `wanted` was asked for.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        self.rank_for(wanted).is_some()
    }

    /// How far something made for `self` is from what was asked for, 0 being the very thing;
    /// `None` when it does not run there.
    ///
    /// A processor of one variant runs the programs of all earlier ones.
    pub(crate) fn rank_for(&self, wanted: &Self) -> Option<u32> {
        let (architecture, variant) = normalized(&self.architecture, self.variant.as_deref());
        let (wanted_architecture, wanted_variant) =
            normalized(&wanted.architecture, wanted.variant.as_deref());
        if self.os != wanted.os || architecture != wanted_architecture {
            return None;
        }
        match (
            variant_number(variant.as_deref()),
            variant_number(wanted_variant.as_deref()),
        ) {
            (Some(made), Some(wanted)) => wanted.checked_sub(made),
            _ => (variant == wanted_variant).then_some(0),
        }
    }
}

/// The number of `v7`. Without a variant it is the first, which only architectures have that
/// need none.
fn variant_number(variant: Option<&str>) -> Option<u32> {
    match variant {
        None => Some(1),
        // arm64 grew minor versions, v8.1; they do not matter to what runs.
        Some(text) => text.strip_prefix('v')?.split('.').next()?.parse().ok(),
    }
}

/// Architecture and variant in Go's words, from uname's or Rust's; a variant that goes without
/// saying is left out, one that must be known is filled in.
fn normalized(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let variant = variant.filter(|text| !text.is_empty());
    let little_endian = cfg!(target_endian = "little");
    let (architecture, variant) = match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", None | Some("8" | "v8" | "v8.0")) => ("arm64", Some("v8")),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        ("x86" | "i386" | "i486" | "i586" | "i686", variant) => ("386", variant),
        ("powerpc64", variant) if little_endian => ("ppc64le", variant),
        ("powerpc64", variant) => ("ppc64", variant),
        ("loongarch64", variant) => ("loong64", variant),
        (other, variant) => (other, variant),
    };
    (architecture.to_owned(), variant.map(str::to_owned))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn what_runs_where() {
        for (made, wanted, rank) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "x86_64", Some(0)),
            ("linux/amd64/v1", "linux/amd64", Some(0)),
            ("linux/amd64/v3", "linux/amd64", None),
            ("linux/amd64", "linux/amd64/v3", Some(2)),
            ("linux/amd64/v2", "linux/amd64/v3", Some(1)),
            ("linux/arm64/v8", "linux/arm64", Some(0)),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64/v9", "linux/arm64", None),
            ("linux/arm/v6", "linux/arm/v7", Some(1)),
            ("linux/arm/v5", "linux/arm", Some(2)),
            ("linux/arm/v7", "linux/arm/v6", None),
            ("linux/arm/v7", "linux/arm64", None),
            ("windows/amd64", "linux/amd64", None),
            ("linux/riscv64", "linux/riscv64", Some(0)),
            ("linux/mips/softfloat", "linux/mips/softfloat", Some(0)),
            ("linux/mips/softfloat", "linux/mips/hardfloat", None),
        ] {
            assert_eq!(
                platform(made).rank_for(&platform(wanted)),
                rank,
                "{made} for {wanted}"
            );
        }
    }

    #[test]
    fn spellings() {
        for (typed, whole) in [
            ("Linux/AMD64", "linux/amd64"),
            ("aarch64", "linux/arm64/v8"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
        ] {
            assert_eq!(platform(typed).to_string(), whole);
        }
        assert_eq!(platform("linux"), Platform::host());
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/a b", "linux/ä"] {
            assert_eq!(Platform::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_satisfies_itself(text in "\\PC{0,30}") {
            if let Some(platform) = Platform::parse(&text) {
                prop_assert!(platform.satisfies(&platform));
            }
        }
    }
}
