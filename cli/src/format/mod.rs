//! How answers are shown: Go templates, aligned tables, sizes and times for people.
//!
//! Pure functions over values; nothing in here asks the agent or prints.

mod human;
mod indent;
mod inspected;
mod listing;
mod table;
mod template;

pub(crate) use human::{
    binary_size, created_at, decimal_size, duration_ago, go_quoted, short_id, truncated,
};
pub(crate) use indent::indented;
pub(crate) use inspected::template_data;
pub(crate) use listing::{Field, Listing, Row};
pub(crate) use table::{LIST_WIDTH, align};
pub(crate) use template::Template;
