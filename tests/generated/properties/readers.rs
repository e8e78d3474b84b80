//! Proves that the readers of insights read any value, or say why they cannot.
use crate::check;
use crate::generate::insight;
use posthog_api::aggregated_value;
use posthog_api::insight::{
    funnel_steps, paths, read, result, retention, rows, series, table, time_to_convert, totals,
};
use proptest::{prop_assert, prop_assert_eq};

#[test]
fn readers_read_any_value_or_return_an_error() {
    check(3_000, &insight(), |insight| {
        let errors = [
            result(&insight).err(),
            aggregated_value(&insight).err(),
            totals(&insight).err(),
            table(&insight).err(),
            read(&insight).err(),
            series(&insight).err(),
            funnel_steps(&insight).err(),
            retention(&insight).err(),
            paths(&insight).err(),
            time_to_convert(&insight).err(),
            rows(&insight).err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(
                [
                    posthog_api::ErrorKind::QueryFailed,
                    posthog_api::ErrorKind::WrongShape,
                    posthog_api::ErrorKind::CutShort,
                    posthog_api::ErrorKind::Running,
                    posthog_api::ErrorKind::NotComputed
                ]
                .contains(&error.kind()),
                "{}",
                error
            );
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
        Ok(())
    });
}
