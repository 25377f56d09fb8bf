//! stub
/// x
pub fn read()->crate::model::Lifeline{Default::default()}
