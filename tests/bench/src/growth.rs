//! How cost grows: with tools, tokens, bodies, users and connections. Nothing may grow faster than what it depends on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::Router;
use emulator::{Emulator, User};
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, IntoDrawingArea as _, IntoLogRange as _, LineSeries, RGBColor, SVGBackend,
    SeriesLabelPosition, WHITE,
};
use shared::auth::bearer::BearerToken;
use shared::moment::Moment;

use bench::connection::{body, in_process};
use bench::server::{self, Server};
use bench::servers::ours;
use bench::wrk::{self, Call};

use crate::users;

/// Where the picture goes; the README shows it.
fn picture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("growth.svg")
}

/// By how much a cost may outgrow what it depends on, from one point to the next: figures of single runs are noisy.
const TOLERANCE: f64 = 1.5;

/// One line of one panel.
struct Series {
    name: &'static str,
    unit: &'static str,
    points: Vec<(f64, f64)>,
}

/// One panel: what the cost depends on, and the costs.
struct Panel {
    depends_on: &'static str,
    series: Vec<Series>,
}

/// Measures with up to so many cached users, draws, and says what grows too fast.
pub(crate) async fn measure(most_users: u32) -> bool {
    let executable = server::build();
    let emulator = Emulator::start().await;
    let (process, app) = ours::start(&emulator, Some("off")).await;
    let token = emulator.token(User::Alice).build();

    let (mut list, mut call) = (Vec::new(), Vec::new());
    for count in [2, 10, 100] {
        let app = ours::with_tools(process, count);
        let list_body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        list.push((number(count), per_call(&app, &token, list_body).await));
        call.push((number(count), per_call(&app, &token, &body("whoami")).await));
    }
    let tools = Panel {
        depends_on: "tools",
        series: vec![
            Series { name: "tools/list", unit: "us", points: list },
            Series { name: "tools/call", unit: "us", points: call },
        ],
    };

    let (mut seen, mut new) = (Vec::new(), Vec::new());
    for groups in [0, 20, 200, 500] {
        let groups: Vec<String> = (0..groups).map(|group| format!("{group:08x}-aaaa-bbbb-cccc-dddddddddddd")).collect();
        let token = emulator.token(User::Alice).claim("groups", groups).build();
        seen.push((number(token.len()), per_call(&app, &token, &body("whoami")).await));
        let key = process.jwks.key(emulator.signing_key().kid(), || false).await.expect("a key");
        let field = http::HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, field)]);
        let verify = || {
            let token = BearerToken::from_request(&headers, None).expect("a token");
            process.verifier.verify(&token, &key, Moment::now()).expect("a caller");
        };
        new.push((number(token.len()), fastest(200, verify)));
    }
    let tokens = Panel {
        depends_on: "bytes of the token",
        series: vec![
            Series { name: "call, token seen before", unit: "us", points: seen },
            Series { name: "verification alone", unit: "us", points: new },
        ],
    };

    let mut bodies = Vec::new();
    for bytes in [100, 1_000, 10_000, 100_000, 250_000] {
        let padding = "x".repeat(bytes);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"whoami","_meta":{{"padding":"{padding}"}}}}}}"#
        );
        bodies.push((number(body.len()), per_call(&app, &token, &body).await));
    }
    let bodies =
        Panel { depends_on: "bytes of the body", series: vec![Series { name: "call", unit: "us", points: bodies }] };

    let mut panels = vec![tools, tokens, bodies, users_panel(&executable, &emulator, most_users).await];
    panels.push(connections_panel(&executable, &emulator).await);
    draw(&panels);
    report(&panels)
}

async fn users_panel(executable: &Path, emulator: &Emulator, most: u32) -> Panel {
    let server = Server::handler(executable, emulator, &crate::beside::OPEN);
    server.until(&bench::connection::call(&emulator.token(User::Alice).build(), "whoami"), 200).await;
    let (mut memory, mut cpu, mut done) = (Vec::new(), Vec::new(), 0);
    for count in [1, 10, 100, 1_000, 10_000, 100_000].into_iter().filter(|count| *count <= most) {
        users::call_as(done..count.max(done), &server, emulator).await;
        memory.push((f64::from(count), server.memory("VmRSS")));
        // Those whose tokens are surely in the cache, again and again.
        let newest = users::requests(count..count + count.min(1_000), emulator);
        users::send(&newest, &server).await;
        done = count + count.min(1_000);
        let before = server.cpu();
        for _ in 0..2_000_usize.div_ceil(newest.len()) {
            users::send(&newest, &server).await;
        }
        let calls = number(2_000_usize.div_ceil(newest.len()) * newest.len());
        cpu.push((f64::from(count), server.cpu_since(before).as_secs_f64() * 1e6 / calls));
    }
    Panel {
        depends_on: "users with a downstream token",
        series: vec![
            Series { name: "resident", unit: "MiB", points: memory },
            Series { name: "get_my_profile again", unit: "us CPU", points: cpu },
        ],
    }
}

async fn connections_panel(executable: &Path, emulator: &Emulator) -> Panel {
    let call = Call { body: body("whoami"), tokens: vec![emulator.token(User::Alice).build()] };
    let (mut memory, mut cpu) = (Vec::new(), Vec::new());
    for connections in [1, 16, 64, 256, 1_024] {
        let server = Server::pinned_handler(executable, emulator, &crate::beside::OPEN);
        server.until(&bench::connection::request(&call.tokens[0], &call.body), 200).await;
        let before = server.cpu();
        let load = wrk::load(server.address, &call, connections, 1).await;
        let requests = f64::from(u32::try_from(load.requests).unwrap_or(u32::MAX));
        cpu.push((f64::from(connections), server.cpu_since(before).as_secs_f64() * 1e6 / requests));
        memory.push((f64::from(connections), server.memory("VmRSS")));
    }
    Panel {
        depends_on: "connections that call without a pause",
        series: vec![
            Series { name: "resident", unit: "MiB", points: memory },
            Series { name: "whoami", unit: "us CPU", points: cpu },
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
    fastest.as_secs_f64() * 1e6
}

fn fastest(calls: u32, mut once: impl FnMut()) -> f64 {
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        (0..calls).for_each(|_| once());
        fastest = fastest.min(began.elapsed() / calls);
    }
    fastest.as_secs_f64() * 1e6
}

/// Says every figure, and whether none grows faster than what it depends on.
fn report(panels: &[Panel]) -> bool {
    let mut fine = true;
    for panel in panels {
        println!("\nby {}", panel.depends_on);
        for series in &panel.series {
            let points = series.points.iter().map(|(x, y)| format!("{x:.0}: {y:.1}")).collect::<Vec<_>>().join("   ");
            println!("  {:<26} {:<6} {points}", series.name, series.unit);
            for pair in series.points.windows(2) {
                let [(from, cost), (to, grown)] = pair else { continue };
                if grown / cost > to / from * TOLERANCE {
                    println!("  BROKEN: from {from:.0} to {to:.0} it grows {:.1} times", grown / cost);
                    fine = false;
                }
            }
        }
    }
    println!("\n{} is written", picture().display());
    fine
}

fn draw(panels: &[Panel]) {
    const COLOURS: [RGBColor; 2] = [RGBColor(0x1f, 0x5f, 0xa8), RGBColor(0xc0, 0x5a, 0x1c)];
    let path = picture();
    let height = 240 * u32::try_from(panels.len().div_ceil(2)).unwrap_or(1);
    let root = SVGBackend::new(&path, (960, height)).into_drawing_area();
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
    root.present().expect("growth.svg is written");
}

#[expect(clippy::cast_precision_loss, reason = "a figure to show")]
fn number(count: usize) -> f64 {
    count as f64
}
