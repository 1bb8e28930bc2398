//! The server: connections, each within bounds of time and size.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::guests::{Guest, Guests};
use super::patient::Patient;
use super::routes::Routes;

/// How long a request's head may take, and a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long nothing can be written before a reader is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most bytes of a request's head, and its most fields. Browsers send a tenth of that.
const HEAD_BYTES: usize = 16 << 10;
const FIELDS: usize = 64;
/// How long the server rests when the system has no more connections to give.
const REST: Duration = Duration::from_millis(100);

/// Serves until `end` is sent or dropped.
pub async fn serve(listener: TcpListener, routes: Arc<Routes>, mut end: oneshot::Receiver<()>) {
    let guests = Guests::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut end => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        // Small events go out at once.
        let _ = stream.set_nodelay(true);
        let guest = guests.enter();
        let number = guest.number();
        let task = tokio::spawn(connection(stream, routes.clone(), guest));
        guests.seat(number, task.abort_handle());
        // Whoever has sent a request by now is read before the next one comes and may take that place.
        tokio::task::yield_now().await;
    }
}

/// One connection, until either side ends it. Whatever goes wrong concerns the other side alone.
async fn connection(stream: TcpStream, routes: Arc<Routes>, guest: Guest) {
    let (routes, guest) = (&routes, &guest);
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(routes.answer(request, guest).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(FIELDS)
        .serve_connection(TokioIo::new(Patient::new(stream, PATIENCE)), service);
    let _ = served.await;
}
