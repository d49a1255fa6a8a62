//! Log lines as JSON, one object an event: `timestamp`, `level`, the event's fields, `target`.
//!
//! As tracing-subscriber's own JSON format has them. That one checks every few bytes anew for UTF-8 and looks for something to
//! escape in each name each time, which made two lines a request the most expensive part of it. Here only values are looked at, by
//! `serde_json`.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use crate::moment::Moment;

/// Room for most lines.
const USUAL_BYTES: usize = 1_024;

/// The layer that writes them.
pub(super) struct JsonLines<W> {
    writer: W,
    /// Whether some event has a field whose name must be escaped in JSON. No identifier of Rust's must.
    has_odd_names: AtomicBool,
}

impl<W> JsonLines<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, has_odd_names: AtomicBool::new(false) }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    /// Comes before the first event of its kind, unless another thread is quicker that once. Names stand in the source: nothing but
    /// that line's form is at stake.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.fields().iter().any(|field| !is_plain(field.name())) {
            self.has_odd_names.store(true, Ordering::Relaxed);
        }
        Interest::always()
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let escapes_names = self.has_odd_names.load(Ordering::Relaxed);
        let mut line = Line { bytes: Vec::with_capacity(USUAL_BYTES), escapes_names };
        line.bytes.push(b'{');
        line.member("timestamp", &format_args!("{}", humantime::format_rfc3339_micros(Moment::wall_clock())));
        line.member("level", metadata.level().as_str());
        event.record(&mut line);
        line.member("target", metadata.target());
        line.bytes.extend_from_slice(b"}\n");
        // Where the log cannot be written, nobody can be told.
        drop(self.writer.make_writer_for(metadata).write_all(&line.bytes));
    }
}

/// Whether a name can stand between quotes as it is (RFC 8259 §7).
fn is_plain(name: &str) -> bool {
    !name.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
}

/// A line, being written.
struct Line {
    bytes: Vec<u8>,
    /// Whether names are escaped, too.
    escapes_names: bool,
}

impl Line {
    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        if self.bytes.len() > 1 {
            self.bytes.push(b',');
        }
        if self.escapes_names {
            self.write(name);
            self.bytes.push(b':');
        } else {
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(b"\":");
        }
        self.write(value);
    }

    fn write(&mut self, value: &(impl Serialize + ?Sized)) {
        // Texts, numbers and truth values always serialize, and memory takes them.
        drop(serde_json::to_writer(&mut self.bytes, value));
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field.name(), &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), &value);
    }
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

    /// What is written while this is done.
    fn written(work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = super::super::layer(move || writer.clone(), None, false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap()
    }

    #[test]
    fn every_value_is_one_of_jsons_and_cannot_break_out_of_its_line() {
        let evil = "a\"}\n\u{1b}[31m\u{7f}é";
        let text = written(|| {
            tracing::info!(target: "audit", evil, count = 3_u64, less = -3, ratio = 1.5, nan = f64::NAN, yes = true, none = None::<u8>, said = %evil, "ended {evil}");
        });
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let is_raw = |character: char| character.is_ascii_control() && character != '\u{7f}';
        assert!(!text.trim_end_matches('\n').contains(is_raw), "{text:?}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["evil"], &line["said"], &line["message"]),
            (&evil.into(), &evil.into(), &format!("ended {evil}").into())
        );
        assert_eq!((&line["count"], &line["less"]), (&3.into(), &(-3).into()));
        assert_eq!((&line["ratio"], &line["nan"], &line["yes"]), (&1.5.into(), &Value::Null, &true.into()));
        assert!(!line.as_object().unwrap().contains_key("none"));
        assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &"audit".into()));
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.len() == 27 && timestamp.ends_with('Z') && timestamp.starts_with("20"), "{timestamp}");
    }

    #[test]
    fn a_name_that_json_cannot_have_as_it_is_is_escaped() {
        let text = written(|| tracing::info!("a \"name\"\n\\" = 1, plain = 2));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["a \"name\"\n\\"], &line["plain"]), (&1.into(), &2.into()), "{text}");
    }
}
