//! Where the records of containers are: those that survive a reboot with the data, the others with
//! what a reboot throws away.

use super::record::Record;
use crate::engine::paths::Paths;
use crate::store::{Records, StoreError, Survives};

/// A record, and the store that it is in.
pub(crate) type Kept = (Record, Records<Record>);

/// The records of all containers.
#[derive(Debug)]
pub(crate) struct RecordStores {
    lasting: Records<Record>,
    passing: Records<Record>,
}

impl RecordStores {
    /// Opens both and reads what is there, each record with the store that it is in.
    pub(crate) fn open(paths: &Paths) -> Result<(Self, Vec<Kept>), StoreError> {
        let (lasting, kept) = Records::open(&paths.records("containers"))?;
        let (passing, left) = Records::open(&paths.passing_containers())?;
        let with = |records: &Records<Record>, found: Vec<(String, Record)>| {
            let records = records.clone();
            found
                .into_iter()
                .map(move |(_, record)| (record, records.clone()))
        };
        let found = with(&lasting, kept).chain(with(&passing, left)).collect();
        Ok((Self { lasting, passing }, found))
    }

    /// The store that a new record belongs in.
    pub(crate) fn of(&self, record: &Record) -> &Records<Record> {
        match record.survives() {
            Survives::PowerLoss => &self.lasting,
            Survives::Restart => &self.passing,
        }
    }
}
