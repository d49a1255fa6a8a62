//! How cost grows: with tools, tokens, bodies, users and connections. Nothing may grow faster than what it depends on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::Router;
use emulator::{Emulator, User};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, IntoDrawingArea as _, IntoLogRange as _, LineSeries, RGBColor, SVGBackend,
    SeriesLabelPosition, WHITE,
};
use shared::auth::bearer::BearerToken;
use shared::moment::Moment;
use shared::process::Process;

use bench::connection::{self, body, in_process};
use bench::figures::{microseconds, number};
use bench::machine;
use bench::server::{self, OPEN, Server};
use bench::servers::ours;
use bench::wrk::Call;

use crate::beside;
use crate::users::{self, Callers};

/// Where the picture goes that the README shows.
pub(crate) fn in_the_readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("growth.svg")
}

/// By how much a figure may miss its [`Growth`]: those of single runs are noisy.
const TOLERANCE: f64 = 1.5;

/// How a cost may grow.
#[derive(Clone, Copy)]
enum Growth {
    /// Not at all, from the first point to any other.
    Flat,
    /// As what it depends on, from one point to the next.
    Linear,
    /// What is above the first point as what it depends on, from one point to the next.
    LinearAbove,
}

/// One line of one panel.
struct Series {
    name: &'static str,
    unit: &'static str,
    growth: Growth,
    points: Vec<(f64, f64)>,
}

/// One panel: what the cost depends on, and the costs.
struct Panel {
    depends_on: &'static str,
    series: Vec<Series>,
}

/// Measures with up to so many cached users, draws to `picture`, and says what grows too fast.
pub(crate) async fn measure(most_users: u32, picture: &Path) -> bool {
    machine::needs_wrk();
    machine::needs_open_files(4 * MOST_CONNECTIONS);
    let executable = server::build();
    let emulator = Emulator::start().await;
    let (process, app) = ours::start_silently(&emulator).await;
    let panels = [
        tools_panel(process, &emulator).await,
        tokens_panel(process, &app, &emulator).await,
        bodies_panel(&app, &emulator).await,
        users_panel(&executable, &emulator, most_users).await,
        connections_panel(&executable, &emulator).await,
    ];
    draw(&panels, picture);
    println!("\n{} is written", picture.display());
    report(&panels)
}

async fn tools_panel(process: &'static Process, emulator: &Emulator) -> Panel {
    let token = emulator.token(User::Alice).build();
    let (mut list, mut call) = (Vec::new(), Vec::new());
    for count in [2_u32, 10, 100] {
        let app = ours::with_tools(process, count as usize);
        let list_body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        list.push((f64::from(count), per_call(&app, &token, list_body).await));
        call.push((f64::from(count), per_call(&app, &token, &body("whoami")).await));
    }
    Panel {
        depends_on: "tools",
        series: vec![
            Series { name: "tools/list", unit: "us", growth: Growth::Linear, points: list },
            Series { name: "tools/call", unit: "us", growth: Growth::Flat, points: call },
        ],
    }
}

async fn tokens_panel(process: &'static Process, app: &Router, emulator: &Emulator) -> Panel {
    let key = process.jwks.key(emulator.signing_key().kid(), Moment::now(), || false).await.expect("a key");
    let (mut seen, mut new) = (Vec::new(), Vec::new());
    for groups in [0, 20, 200, 500] {
        let groups: Vec<String> = (0..groups).map(|group| format!("{group:08x}-aaaa-bbbb-cccc-dddddddddddd")).collect();
        let token = emulator.token(User::Alice).claim("groups", groups).build();
        let bytes = number(token.len() as u64);
        seen.push((bytes, per_call(app, &token, &body("whoami")).await));
        let field = HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, field)]);
        let verify = || {
            let token = BearerToken::from_request(&headers, None).expect("a token");
            process.verifier.verify(&token, &key, Moment::now()).expect("a caller");
        };
        new.push((bytes, fastest(200, verify)));
    }
    Panel {
        depends_on: "bytes of the token",
        series: vec![
            Series { name: "call, token seen before", unit: "us", growth: Growth::Linear, points: seen },
            Series { name: "verification alone", unit: "us", growth: Growth::Linear, points: new },
        ],
    }
}

async fn bodies_panel(app: &Router, emulator: &Emulator) -> Panel {
    let token = emulator.token(User::Alice).build();
    let mut calls = Vec::new();
    for bytes in [100, 1_000, 10_000, 100_000, 250_000] {
        let padding = "x".repeat(bytes);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"whoami","_meta":{{"padding":"{padding}"}}}}}}"#
        );
        calls.push((number(body.len() as u64), per_call(app, &token, &body).await));
    }
    Panel {
        depends_on: "bytes of the body",
        series: vec![Series { name: "call", unit: "us", growth: Growth::Linear, points: calls }],
    }
}

async fn users_panel(executable: &Path, emulator: &Emulator, most: u32) -> Panel {
    /// Calls whose CPU time is taken.
    const CALLS: usize = 2_000;
    let server = Server::pinned_handler(executable, emulator, &OPEN);
    server.until(&connection::call(&emulator.token(User::Alice).build(), "whoami"), 200).await;
    let mut callers = Callers::connect(&server).await;
    let (mut memory, mut cpu, mut done) = (Vec::new(), Vec::new(), 0);
    for count in [1, 10, 100, 1_000, 10_000, 100_000].into_iter().filter(|count| *count <= most) {
        let newest = count.min(1_000);
        callers.call_as(done..count - newest, emulator).await;
        // Those whose tokens are surely in the cache, again and again.
        let newest = users::requests(count - newest..count, emulator);
        callers.send(&newest).await;
        done = count;
        let rounds = CALLS.div_ceil(newest.len());
        let before = server.cpu();
        for _ in 0..rounds {
            callers.send(&newest).await;
        }
        let calls = number((rounds * newest.len()) as u64);
        cpu.push((f64::from(count), microseconds(server.cpu_since(before)) / calls));
        memory.push((f64::from(count), server.memory("VmRSS")));
    }
    Panel {
        depends_on: "users with a downstream token",
        series: vec![
            Series { name: "resident", unit: "MiB", growth: Growth::LinearAbove, points: memory },
            Series { name: "get_my_profile again", unit: "us CPU", growth: Growth::Flat, points: cpu },
        ],
    }
}

/// The most connections that are measured.
const MOST_CONNECTIONS: u32 = 1_024;

async fn connections_panel(executable: &Path, emulator: &Emulator) -> Panel {
    let call = Call { body: body("whoami"), tokens: vec![emulator.token(User::Alice).build()] };
    let (mut memory, mut cpu) = (Vec::new(), Vec::new());
    for connections in [1, 16, 64, 256, MOST_CONNECTIONS] {
        let server = Server::pinned_handler(executable, emulator, &OPEN);
        server.until(&connection::request(&call.tokens[0], &call.body), 200).await;
        let (each, _) = beside::load(&server, &call, connections).await;
        cpu.push((f64::from(connections), microseconds(each)));
        memory.push((f64::from(connections), server.memory("VmRSS")));
    }
    Panel {
        depends_on: "connections that call without a pause",
        series: vec![
            Series { name: "resident", unit: "MiB", growth: Growth::LinearAbove, points: memory },
            Series { name: "whoami", unit: "us CPU", growth: Growth::Flat, points: cpu },
        ],
    }
}

/// Microseconds a call takes without a socket, in the fastest of some batches.
async fn per_call(app: &Router, token: &str, body: &str) -> f64 {
    const CALLS: u32 = 100;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        for _ in 0..CALLS {
            in_process(app, token, body.to_owned()).await;
        }
        fastest = fastest.min(began.elapsed() / CALLS);
    }
    microseconds(fastest)
}

fn fastest(calls: u32, mut once: impl FnMut()) -> f64 {
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        (0..calls).for_each(|_| once());
        fastest = fastest.min(began.elapsed() / calls);
    }
    microseconds(fastest)
}

/// Says every figure, and whether none grows faster than it may.
fn report(panels: &[Panel]) -> bool {
    let mut fine = true;
    for panel in panels {
        println!("\nby {}", panel.depends_on);
        for series in &panel.series {
            let points = series.points.iter().map(|(x, y)| format!("{x:.0}: {y:.1}")).collect::<Vec<_>>().join("   ");
            println!("  {:<26} {:<6} {points}", series.name, series.unit);
            for broken in series.broken() {
                println!("  BROKEN: {broken}");
                fine = false;
            }
        }
    }
    fine
}

impl Series {
    /// Where it grows faster than it may.
    fn broken(&self) -> Vec<String> {
        let Some(&(_, floor)) = self.points.first() else { return vec!["nothing was measured".to_owned()] };
        let pairs = self.points.windows(2).filter_map(|pair| {
            let [(from, cost), (to, grown)] = *pair else { return None };
            let (allowed, what) = match self.growth {
                Growth::Flat => (floor, "it should not grow"),
                Growth::Linear => (cost * to / from, "it should grow as that"),
                // What the first one of a kind costs once is no growth.
                Growth::LinearAbove if cost - floor < LEAST_GROWTH => return None,
                Growth::LinearAbove => (floor + (cost - floor) * to / from, "it should grow as that, above the first"),
            };
            (grown > allowed * TOLERANCE).then(|| format!("from {from:.0} to {to:.0} {cost:.1} to {grown:.1}: {what}"))
        });
        pairs.collect()
    }
}

/// What may come with the first few, in the unit of the series (MiB).
const LEAST_GROWTH: f64 = 4.0;

fn draw(panels: &[Panel], path: &Path) {
    const COLOURS: [RGBColor; 2] = [RGBColor(0x1f, 0x5f, 0xa8), RGBColor(0xc0, 0x5a, 0x1c)];
    let height = 240 * u32::try_from(panels.len().div_ceil(2)).unwrap_or(1);
    let root = SVGBackend::new(path, (960, height)).into_drawing_area();
    root.fill(&WHITE).expect("a picture");
    for (panel, area) in panels.iter().zip(root.split_evenly((panels.len().div_ceil(2), 2))) {
        let points = || panel.series.iter().flat_map(|series| &series.points);
        let range = |of: fn(&(f64, f64)) -> f64| {
            let (least, most) =
                points().map(of).fold((f64::MAX, 0.0_f64), |(least, most), at| (least.min(at), most.max(at)));
            least / 2.0..most * 3.0
        };
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("by {}", panel.depends_on), ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(48)
            .build_cartesian_2d(range(|point| point.0).log_scale(), range(|point| point.1).log_scale())
            .expect("a chart");
        let plain = |value: &f64| if *value < 1.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        chart.configure_mesh().x_label_formatter(&plain).y_label_formatter(&plain).draw().expect("a mesh");
        for (series, colour) in panel.series.iter().zip(COLOURS) {
            let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2));
            let drawn = chart.draw_series(line).expect("a line").label(format!("{}, {}", series.name, series.unit));
            drawn.legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
            chart.draw_series(series.points.iter().map(|at| Circle::new(*at, 3, colour.filled()))).expect("points");
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw().expect("labels");
    }
    root.present().expect("the picture is written");
}
