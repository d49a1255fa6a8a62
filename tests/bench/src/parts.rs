//! What the parts of a call cost, by criterion.

use std::hint::black_box;
use std::time::Duration;

use axum::body::Body;
use bench::connection::{body, in_process};
use bench::servers::ours;
use criterion::{BatchSize, Criterion};
use emulator::{Emulator, User};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use shared::auth::bearer::BearerToken;
use shared::auth::error::{AuthError, TokenFault};
use shared::moment::Moment;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

/// Measures them; on a runtime of its own, so not from within one.
pub(crate) fn measure() {
    let criterion = Criterion::default().without_plots();
    let mut criterion = criterion
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(20);
    let runtime: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let emulator = runtime.block_on(Emulator::start());
    let (process, app) = runtime.block_on(ours::start_silently(&emulator));
    let headers = |token: &str| {
        let field = HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
        HeaderMap::from_iter([(AUTHORIZATION, field)])
    };
    let token = emulator.token(User::Alice).build();
    let known = headers(&token);
    let bearer = |headers| BearerToken::from_request(headers, None).expect("a token");
    let authenticate =
        |headers| runtime.block_on(process.verifier.authenticate(bearer(headers), &process.jwks, Moment::now()));

    criterion.bench_function("header: parse and hash", |bencher| bencher.iter(|| black_box(bearer(black_box(&known)))));
    let caller = authenticate(&known).expect("a caller");
    criterion
        .bench_function("verify: hit", |bencher| bencher.iter(|| authenticate(black_box(&known)).expect("a caller")));
    let key = runtime.block_on(process.jwks.key(emulator.signing_key().kid(), Moment::now(), || false)).expect("a key");
    criterion.bench_function("verify: miss", |bencher| {
        let now = Moment::now();
        bencher.iter(|| process.verifier.verify(&bearer(black_box(&known)), &key, now).expect("a caller"));
    });
    let kid = emulator.signing_key().kid().to_owned();
    criterion.bench_function("key look-up", |bencher| {
        let now = Moment::now();
        bencher.iter(|| runtime.block_on(process.jwks.key(black_box(&kid), now, || false)).expect("a key"));
    });
    let exchange = || runtime.block_on(process.obo.acquire_token(&caller, &["User.Read"])).expect("a token");
    exchange();
    criterion.bench_function("downstream token: cache look-up", |bencher| bencher.iter(exchange));
    let metadata = || Request::get("/.well-known/oauth-protected-resource/mcp").body(Body::empty()).expect("a request");
    criterion.bench_function("metadata document", |bencher| {
        let answer = |request| runtime.block_on(app.clone().oneshot(request)).expect("an answer");
        bencher.iter_batched(metadata, answer, BatchSize::SmallInput);
    });
    let refusal = AuthError::InvalidToken(TokenFault::Expired);
    criterion.bench_function("challenge", |bencher| bencher.iter(|| process.challenges.refuse(black_box(&refusal))));
    criterion.bench_function("whoami without a socket or a log", |bencher| {
        bencher.iter(|| runtime.block_on(in_process(&app, &token, body("whoami"))));
    });
}
