//! A log line as JSON: `timestamp`, `level`, the event's fields, `target`.
//!
//! The values are written by tracing-serde and `serde_json`, as tracing-subscriber's own JSON format has it. That one writes through
//! an adaptor that checks every few bytes anew for UTF-8, which made two lines a request the most expensive part of it.

use std::fmt;

use serde::ser::{Error as _, SerializeMap as _, Serializer as _};
use tracing::{Event, Subscriber};
use tracing_serde::{AsSerde as _, SerdeMapVisitor};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::moment::Moment;

/// Room for most lines.
const USUAL_BYTES: usize = 640;

pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Vec::with_capacity(USUAL_BYTES);
        write(event, &mut line).map_err(|_| fmt::Error)?;
        line.push(b'\n');
        writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

fn write(event: &Event<'_>, line: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let metadata = event.metadata();
    let mut serializer = serde_json::Serializer::new(line);
    let mut members = serializer.serialize_map(None)?;
    members.serialize_entry("timestamp", &humantime::format_rfc3339_micros(Moment::wall_clock()).to_string())?;
    members.serialize_entry("level", &metadata.level().as_serde())?;
    let mut fields = SerdeMapVisitor::new(members);
    event.record(&mut fields);
    let mut members = fields.take_serializer().map_err(serde_json::Error::custom)?;
    members.serialize_entry("target", metadata.target())?;
    members.end()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_value_is_one_of_jsons_and_cannot_break_out_of_its_line() {
        let lines = Lines::default();
        let layer = super::super::layer(
            {
                let lines = lines.clone();
                move || lines.clone()
            },
            None,
            false,
        );
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let evil = "a\"}\n\u{1b}[31m\u{7f}é";
            tracing::info!(target: "audit", evil, count = 3_u64, ratio = 1.5, yes = true, none = None::<u8>, said = %evil, "ended {evil}");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(
            !text
                .trim_end_matches('\n')
                .contains(|character: char| character.is_ascii_control() && character != '\u{7f}')
        );
        let line: Value = serde_json::from_str(&text).unwrap();
        let evil = "a\"}\n\u{1b}[31m\u{7f}é";
        assert_eq!(
            (&line["evil"], &line["said"], &line["message"]),
            (&evil.into(), &evil.into(), &format!("ended {evil}").into())
        );
        assert_eq!((&line["count"], &line["ratio"], &line["yes"]), (&3.into(), &1.5.into(), &true.into()));
        assert!(!line.as_object().unwrap().contains_key("none"));
        assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &"audit".into()));
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.len() == 27 && timestamp.ends_with('Z') && timestamp.starts_with("20"), "{timestamp}");
    }
}
