//! What can be done to a repository.

use std::fmt;
use std::str::FromStr;

/// One right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read what is there.
    Pull,
    /// Add to it, and move its tags.
    Push,
    /// Remove from it.
    Delete,
    /// Say how it is kept and who may do what to it. Includes the other three.
    Admin,
}

impl Action {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Delete, Self::Admin];

    /// The word for it, in scopes and everywhere else.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Pull => 1,
            Self::Push => 2,
            Self::Delete => 4,
            Self::Admin => 8,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Some of the rights; written with commas between them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// Every right.
    pub const EVERY: Self = Self(15);

    /// Whether `action` is one of them.
    pub fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and another one.
    #[must_use]
    pub fn with(self, action: Action) -> Self {
        Self(self.0 | action.bit())
    }

    /// Those, in the order in which they are written.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .into_iter()
            .filter(move |action| self.contains(*action))
    }

    /// These, and what they include: who administers a repository may do all
    /// to it.
    pub(super) fn widened(self) -> Self {
        if self.contains(Action::Admin) {
            Self::EVERY
        } else {
            self
        }
    }

    /// The rights among a scope's words, which may be others' words too.
    pub(super) fn among<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for word in words {
            if word == "*" {
                return Self::EVERY;
            }
            if let Some(action) = Action::ALL.into_iter().find(|one| one.as_str() == word) {
                found = found.with(action);
            }
        }
        found
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        Self(action.bit())
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<T: IntoIterator<Item = Action>>(actions: T) -> Self {
        actions.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Action::as_str).collect();
        f.write_str(&words.join(","))
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is not a list of rights.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is none of pull, push, delete and admin, with commas between them")]
pub struct ActionsError(String);

impl FromStr for Actions {
    type Err = ActionsError;

    fn from_str(text: &str) -> Result<Self, ActionsError> {
        let mut actions = Self::default();
        for word in text.split(',') {
            let action = Action::ALL.into_iter().find(|one| one.as_str() == word);
            let action = action.ok_or_else(|| ActionsError(word.to_owned()))?;
            actions = actions.with(action);
        }
        Ok(actions)
    }
}
