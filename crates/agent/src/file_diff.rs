//! One watched file against the baseline, on request: what differs now, line by line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::answer::refusal;
use crate::fim::{Compared, FimError, compared};
use crate::parts::Parts;
use bartizan_model::HostText;
use bartizan_protocol::{ErrorCode, FileDiff, Refusal, Reply};
use bartizan_store::{Baseline, baseline_file};

/// How the file differs.
pub(crate) fn answer(parts: &Parts, path: &HostText) -> Result<Reply, Refusal> {
    let failed = |why: String| refusal(ErrorCode::Failed, &why, "see `bartizan fim status`");
    let data = &parts.settings.data;
    if baseline_file(data).is_none() {
        return Err(failed(FimError::NoBaseline.to_string()));
    }
    let baseline = Baseline::read(data).map_err(|error| failed(error.to_string()))?;
    let path = Path::new(OsStr::from_bytes(path.as_bytes()));
    let Compared { path, change, diff } = compared(&baseline, path, chrono::Utc::now()).map_err(|error| failed(error.to_string()))?;
    Ok(Reply::FileDiff(Box::new(FileDiff { path, change: change.map(|change| change.to_string()), diff })))
}
