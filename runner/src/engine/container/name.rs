//! Names for containers that were given none: an adjective and the surname of someone who
//! moved science, ships or machines forward.

use rand::seq::IndexedRandom as _;

use crate::spec::ContainerName;

const ADJECTIVES: &[&str] = &[
    "able", "agile", "airy", "amber", "ample", "apt", "ardent", "artful", "astute", "balmy",
    "blithe", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "careful", "cheery",
    "civil", "clear", "clever", "cosy", "crisp", "curious", "dapper", "daring", "deft", "earnest",
    "eager", "easy", "elated", "fair", "faithful", "fearless", "fine", "fleet", "fond", "frank",
    "fresh", "frugal", "gallant", "gentle", "genial", "glad", "golden", "grand", "hale", "handy",
    "happy", "hardy", "hearty", "honest", "hopeful", "humble", "jolly", "jovial", "keen", "kind",
    "limber", "lively", "loyal", "lucid", "lucky", "mellow", "merry", "mighty", "mild", "modest",
    "neat", "nimble", "noble", "patient", "peppy", "placid", "plucky", "polite", "prime", "proud",
    "quick", "quiet", "ready", "robust", "serene", "sharp", "silver", "sleek", "smart", "snug",
    "sober", "spry", "steady", "sturdy", "sunny", "swift", "tidy", "tranquil", "trusty", "upbeat",
    "valiant", "vivid", "warm", "wise", "witty", "zesty",
];

const SURNAMES: &[&str] = &[
    "abbe",
    "agnesi",
    "alhazen",
    "ampere",
    "anning",
    "archimedes",
    "avicenna",
    "babbage",
    "banach",
    "bardeen",
    "bell",
    "bernoulli",
    "bhabha",
    "bohr",
    "boole",
    "born",
    "bose",
    "boyle",
    "brahe",
    "brunel",
    "cantor",
    "carson",
    "carver",
    "cauchy",
    "cavendish",
    "cerf",
    "chandra",
    "clarke",
    "cook",
    "copernicus",
    "coulomb",
    "cray",
    "curie",
    "dalton",
    "darwin",
    "davy",
    "dedekind",
    "descartes",
    "diesel",
    "dijkstra",
    "dirac",
    "drake",
    "einstein",
    "elion",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "fibonacci",
    "fleming",
    "fourier",
    "franklin",
    "fresnel",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goedel",
    "halley",
    "hamilton",
    "hardy",
    "harrison",
    "heisenberg",
    "henry",
    "hertz",
    "hilbert",
    "hodgkin",
    "hooke",
    "hopper",
    "hubble",
    "huygens",
    "hypatia",
    "jacobi",
    "joule",
    "kepler",
    "khwarizmi",
    "knuth",
    "kovalevskaya",
    "lagrange",
    "lamarr",
    "lamport",
    "laplace",
    "lavoisier",
    "leibniz",
    "linnaeus",
    "lovelace",
    "lyell",
    "magellan",
    "maxwell",
    "mayer",
    "mcclintock",
    "meitner",
    "mendel",
    "mendeleev",
    "mercator",
    "minkowski",
    "morse",
    "nansen",
    "napier",
    "newton",
    "nightingale",
    "noether",
    "ohm",
    "papin",
    "pascal",
    "pasteur",
    "pauli",
    "planck",
    "poincare",
    "ptolemy",
    "pythagoras",
    "ramanujan",
    "riemann",
    "ritchie",
    "rubin",
    "rutherford",
    "sagan",
    "salk",
    "shannon",
    "sinclair",
    "somerville",
    "stokes",
    "tesla",
    "thales",
    "thompson",
    "torvalds",
    "turing",
    "volta",
    "watt",
    "wegener",
    "wiener",
    "wilkes",
    "wirth",
    "wright",
    "wu",
    "young",
    "yukawa",
    "zuse",
];

/// A name that is well formed; whether it is free is for the caller to see. From the second
/// attempt on a digit makes it likelier.
pub(super) fn invent(attempt: usize) -> Option<ContainerName> {
    let mut rng = rand::rng();
    let adjective = ADJECTIVES.choose(&mut rng)?;
    let surname = SURNAMES.choose(&mut rng)?;
    let digit = if attempt == 0 {
        String::new()
    } else {
        rand::random_range(0..10_u8).to_string()
    };
    format!("{adjective}_{surname}{digit}").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_make_names() {
        for words in [ADJECTIVES, SURNAMES] {
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
            assert!(
                words
                    .iter()
                    .all(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
            );
        }
        for attempt in 0..20 {
            assert!(invent(attempt).is_some());
        }
    }
}
