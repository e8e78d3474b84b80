//! stub
use crate::error::*;
use serde_json::{Map, Value};
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}
pub fn aggregated_value(_: &Value) -> Result<f64> {
    Err(Error::insight(FailureKind::NotComputed, ""))
}
pub fn read(_: &Value) -> Result<f64> {
    Err(Error::insight(FailureKind::CutShort, ""))
}
pub(crate) fn rows_of(
    _: &Value,
    _: Option<&str>,
    _: Option<u64>,
) -> Result<Vec<Map<String, Value>>> {
    Ok(vec![])
}
pub(crate) fn table_of(_: &Value, _: Option<&str>, _: Option<u64>) -> Result<Table> {
    Ok(Table { columns: vec![], rows: vec![] })
}
pub(crate) struct Page {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Map<String, Value>>,
}
pub(crate) fn page_of(_: &Value) -> Result<Page> {
    Ok(Page { columns: vec![], rows: vec![] })
}
pub(crate) fn limit_put_on(_: &Value) -> Option<u64> {
    None
}
pub(crate) fn scan_obstacle(_: &str) -> Option<String> {
    None
}
