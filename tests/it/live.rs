//! The page of a run: who is let in, what it is told, and what people change there.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use crate::support::studio::Studio;
use impasto::painting::provenance::Record;
use impasto::painting::steering::End;
use serde_json::Value;

/// More iterations than any test waits for.
const ENDLESS: &str = "stylize photo.png painting.png -o out.png --size 24 --iterations 100000 --live";
/// Longer than any answer takes, so that a test which waits for one in vain fails.
const LONG: Duration = Duration::from_secs(120);

/// A run with a page.
struct Run {
    child: Child,
    /// Server and folder of the page's address.
    server: String,
    folder: String,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Run {
    fn start(studio: &Studio, arguments: &str) -> Self {
        let mut child =
            studio.command(arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("live at http://") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "the run ended without a page");
        }
        let address = line.trim().strip_prefix("live at http://").unwrap();
        let (server, folder) = address.split_at(address.find('/').unwrap());
        Self { server: server.to_owned(), folder: folder.to_owned(), child, stderr }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.server).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// The answer to the bytes of a request.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A request that is refused early may not be read to its end.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The answer to a request with these lines after `Host`, and a body.
    fn ask(&self, method: &str, path: &str, host: &str, fields: &str, body: &str) -> String {
        let length = body.len();
        self.send(
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }

    fn get(&self, name: &str) -> String {
        self.ask("GET", &format!("{}{name}", self.folder), &self.server, "", "")
    }

    /// The status of a command, and what is said about it.
    fn steer(&self, command: &str) -> (u16, String) {
        let fields = format!("Content-Type: application/json\r\nOrigin: http://{}\r\n", self.server);
        let answer = self.ask("POST", &format!("{}steer", self.folder), &self.server, &fields, command);
        (status(&answer), answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The same where it must be carried out.
    fn does(&self, command: &str) -> String {
        let (status, said) = self.steer(command);
        assert_eq!(status, 200, "{command}: {said}");
        said
    }

    fn events(&self) -> Events {
        let mut stream = self.connect();
        let (folder, server) = (&self.folder, &self.server);
        write!(stream, "GET {folder}events HTTP/1.1\r\nHost: {server}\r\n\r\n").unwrap();
        Events(BufReader::new(stream))
    }

    fn end(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

/// Server-sent events.
struct Events(BufReader<TcpStream>);

impl Events {
    /// Waits for an event with this name that is as it should be.
    fn wait(&mut self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let (mut line, mut event) = (String::new(), String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "no more events, and no {name}");
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ").filter(|_| event == name) {
                let value = serde_json::from_str(data).unwrap();
                if is(&value) {
                    return value;
                }
            }
        }
    }
}

fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

/// The number in a sentence.
fn number(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty()).unwrap().parse().unwrap()
}

#[test]
fn only_the_page_is_answered_and_nothing_stops_the_run() {
    let studio = Studio::new();
    let run = Run::start(&studio, ENDLESS);
    let (folder, server) = (&run.folder, run.server.as_str());
    let steer = format!("{folder}steer");
    let json = "Content-Type: application/json\r\n";
    let pause = r#"{"act":"pause"}"#;
    let wrong = format!("/{}/", "0".repeat(32));
    let long = format!(r#"{{"act":"pause"{}}}"#, " ".repeat(5000));
    for (expected, what, answer) in [
        (403, "no token", run.ask("GET", "/", server, "", "")),
        (403, "no token", run.ask("POST", "/steer", server, json, pause)),
        (403, "another token", run.ask("GET", &wrong, server, "", "")),
        // DNS rebinding: a name of somebody else's that leads here.
        (403, "another host", run.ask("GET", folder, "evil.example", "", "")),
        (403, "another host", run.ask("GET", folder, &server.replace("127.0.0.1", "evil.example"), "", "")),
        (403, "another port", run.ask("GET", folder, "127.0.0.1:1", "", "")),
        (
            403,
            "a foreign page",
            run.ask("POST", &steer, server, &format!("{json}Origin: http://evil.example\r\n"), pause),
        ),
        (
            403,
            "a page without a name",
            run.ask("POST", &steer, server, &format!("{json}Origin: null\r\n"), pause),
        ),
        (
            403,
            "a foreign page",
            run.ask("GET", &format!("{folder}picture"), server, "Sec-Fetch-Site: cross-site\r\n", ""),
        ),
        // What forms can send, with or without an origin.
        (415, "a form", run.ask("POST", &steer, server, "Content-Type: text/plain\r\n", pause)),
        (
            415,
            "a form",
            run.ask(
                "POST",
                &steer,
                server,
                "Content-Type: application/x-www-form-urlencoded\r\n",
                "act=pause",
            ),
        ),
        (413, "a long command", run.ask("POST", &steer, server, json, &long)),
        (400, "no command", run.ask("POST", &steer, server, json, "{\"act\":\"explode\"}")),
        (400, "no command", run.ask("POST", &steer, server, json, "\u{0}\u{1}")),
        (404, "no page", run.ask("GET", &format!("{folder}../Cargo.toml"), server, "", "")),
        (405, "another method", run.ask("DELETE", &steer, server, "", "")),
        (431, "a long head", run.ask("GET", folder, server, &format!("X: {}\r\n", "x".repeat(20_000)), "")),
        (431, "many fields", run.ask("GET", folder, server, &"X: x\r\n".repeat(200), "")),
        (400, "no request", run.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")),
        (400, "no request", run.send(b"NONSENSE\r\n\r\n")),
        (409, "a senseless weight", run.ask("POST", &steer, server, json, r#"{"set":{"tv_weight":-1}}"#)),
        (409, "a senseless strength", run.ask("POST", &steer, server, json, r#"{"set":{"strength":2}}"#)),
    ] {
        // What is left of a head that is too long may take the answer with it when the connection ends.
        let cut = expected == 431 && answer.is_empty();
        assert!(cut || status(&answer) == expected, "{what}, {expected}: {answer}");
    }
    // None of these did anything.
    let state = run.events().wait("state", |state| state["iterations"] != 0);
    assert_eq!((&state["status"], &state["changes"]), (&"painting".into(), &serde_json::json!([])));

    // Half a head and half a command are given up, and readers that do not read are waited for by nobody.
    let mut half = run.connect();
    write!(half, "GET {folder} HTTP/1.1\r\nHost: ").unwrap();
    let mut begun = run.connect();
    write!(begun, "POST {steer} HTTP/1.1\r\nHost: {server}\r\n{json}Content-Length: 100\r\n\r\n{{").unwrap();
    let lazy: Vec<Events> = (0..5).map(|_| run.events()).collect();
    // By the time that this is answered, what came before it has been read.
    run.get("live.js");
    // A thousand connections that say nothing; this process may hold so many at once.
    let mut idle = std::collections::VecDeque::new();
    for _ in 0..1000 {
        idle.push_back(TcpStream::connect(server).unwrap());
        if idle.len() > 600 {
            idle.pop_front();
        }
    }
    let page = run.get("");
    assert_eq!(status(&page), 200, "{page}");
    let open = |stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        matches!((&mut &*stream).read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let left = idle.iter().filter(|stream| open(stream)).count();
    assert!(left <= 32, "{left} idle connections are open");
    assert_eq!(
        half.read_to_end(&mut Vec::new()).unwrap_or(0),
        0,
        "half a request is closed without an answer"
    );
    let mut answer = String::new();
    begun.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 408, "{answer}");

    assert!(run.does(r#"{"act":"finish"}"#).starts_with("The run ends after iteration "));
    let (ended, _) = run.end();
    drop(lazy);
    assert!(ended.success());
    image::open(studio.path("out.png")).unwrap();
}

#[test]
fn the_page_brings_all_that_it_needs() {
    let studio = Studio::new();
    let run = Run::start(&studio, ENDLESS);
    let mut loaded = String::new();
    for (name, kind) in [
        ("", "text/html"),
        ("impasto.css", "text/css"),
        ("components.js", "text/javascript"),
        ("controls.js", "text/javascript"),
        ("curves.js", "text/javascript"),
        ("elements.js", "text/javascript"),
        ("live.js", "text/javascript"),
    ] {
        let answer = run.get(name);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(status(&answer) == 200 && head.contains(&format!("content-type: {kind}")), "{name}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
        assert!(
            head.contains("cache-control: no-store") && head.contains("referrer-policy: no-referrer"),
            "{head}"
        );
        loaded += body;
    }
    // The one address in it is the name of a language, which nobody loads.
    assert!(!loaded.replace("http://www.w3.org/2000/svg", "").contains("://"));
    let mut events = run.events();
    let start = events.wait("start", |_| true);
    assert_eq!(
        (&start["title"], &start["number"]),
        (&"photo.png in the style of painting.png".into(), &1.into())
    );
    assert_eq!(start["names"].as_array().unwrap().len(), 8);
    let losses = events.wait("losses", |losses| losses["rows"][0][0] == 0);
    assert_eq!(losses["rows"][0].as_array().unwrap().len(), 9);
    // Somebody looks, so there are pictures.
    let picture = events.wait("picture", |_| true);
    assert_eq!((&picture["width"], &picture["height"]), (&24.into(), &20.into()));
    for name in ["picture", "before"] {
        let mut stream = run.connect();
        let (folder, server) = (&run.folder, &run.server);
        write!(stream, "GET {folder}{name} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let png = answer.windows(4).position(|w| w == b"\x89PNG").unwrap();
        let picture = image::load_from_memory(&answer[png..]).unwrap();
        assert_eq!((picture.width(), picture.height()), (24, 20), "{name}");
    }
    run.does(r#"{"act":"finish"}"#);
    let last = events.wait("state", |state| state["over"] == true);
    assert_eq!(last["status"], "done");
    assert!(last["result"].as_str().unwrap().starts_with("Saved to out.png"), "{last}");
    drop(events);
    assert!(run.end().0.success());
}

#[test]
fn a_run_that_was_steered_is_repeated_with_the_same_bits() {
    let studio = Studio::new();
    let run = Run::start(&studio, &format!("{ENDLESS} --checkpoint c --report report.html"));
    let mut events = run.events();
    events.wait("state", |state| state["iteration"].as_u64() > Some(1));
    // While the run is paused, nothing is in flight, and the next iteration has what was changed.
    let done = number(&run.does(r#"{"act":"pause"}"#));
    events.wait("state", |state| state["status"] == "paused" && state["iteration"] == done);
    let saved = run.does(r#"{"act":"copy"}"#);
    assert_eq!(saved, format!("Saved as out-after-{done}.png."));
    assert_eq!(number(&run.does(r#"{"set":{"tv_weight":20,"content_weight":3.5}}"#)), done);
    assert_eq!(number(&run.does(r#"{"set":{"content_weight":4}}"#)), done);
    run.does(r#"{"act":"resume"}"#);
    // While it runs, those that were submitted keep theirs: of two submissions at most.
    let state = events.wait("state", |state| state["iteration"].as_u64() > Some(done as u64 + 1));
    assert_eq!(state["changes"][0]["text"], "content weight 4; total variation weight 20");
    let later = number(&run.does(r#"{"set":{"strength":0.75}}"#));
    assert!(later > done);
    events.wait("state", |state| state["iteration"].as_u64() > Some(later as u64));
    let end = number(&run.does(r#"{"act":"finish"}"#));
    let (ended, said) = run.end();
    assert!(ended.success(), "{said}");
    assert!(said.contains(&format!("from iteration {later}: content weight ")), "{said}");

    let record = Record::open(&studio.path("out.png")).unwrap();
    let changes: Vec<_> = record.changes.iter().map(|change| (change.iteration, change.end)).collect();
    assert_eq!(changes, [(done, None), (later, None), (end, Some(End::Run))]);
    assert_eq!((record.changes[0].tv_weight, record.changes[0].content_weight), (Some(20.0), Some(4.0)));
    // The settings are those of the beginning.
    assert_eq!(record.settings.tv_weight, 10.0);
    let copy = Record::open(&studio.path(&format!("out-after-{done}.png"))).unwrap();
    assert!(copy.changes.is_empty() && copy.settings.iterations == done);
    let report = fs::read_to_string(studio.path("report.html")).unwrap();
    assert!(report.contains(&format!("from iteration {done}: content weight 4; total variation weight 20")));

    let repeat = |arguments: &str| {
        let output = studio.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments}: {said}");
        said
    };
    let said = repeat("stylize photo.png painting.png -o again.png --settings-from out.png");
    assert!(said.contains("its run was changed 3 times while it was painted"), "{said}");
    let bytes = |name: &str| fs::read(studio.path(name)).unwrap();
    assert!(bytes("again.png") == bytes("out.png"), "repeated");
    // The checkpoint has all of it, too.
    repeat("stylize photo.png painting.png -o resumed.png --size 24 --iterations 100000 --resume c");
    assert!(bytes("resumed.png") == bytes("out.png"), "resumed");
}

#[test]
fn a_folder_shows_its_queue() {
    let studio = Studio::new();
    fs::create_dir(studio.path("photos")).unwrap();
    studio.paint("photos/a.png", 24, 20);
    studio.paint("photos/b.png", 20, 24);
    let run =
        Run::start(&studio, "stylize photos painting.png -o done/ --size 24 --iterations 100000 --live");
    let mut events = run.events();
    let queued = |name: &str, state: &str| serde_json::json!({ "name": name, "state": state });
    let queue =
        |first: &str, second: &str| serde_json::json!([queued("a.png", first), queued("b.png", second)]);
    events.wait("state", |state| state["queue"] == queue("painting", "waiting") && state["iteration"] != 0);
    run.does(r#"{"act":"finish"}"#);
    let start = events.wait("start", |start| start["number"] == 2);
    assert_eq!((&start["width"], &start["height"]), (&20.into(), &24.into()));
    events.wait("state", |state| {
        state["queue"] == queue("done", "painting") && state["current"] == 1 && state["iteration"] != 0
    });
    run.does(r#"{"act":"end_size"}"#);
    events.wait("state", |state| state["queue"] == queue("done", "done") && state["over"] == true);
    drop(events);
    assert!(run.end().0.success());
    for name in ["a.png", "b.png"] {
        assert_eq!(Record::open(&studio.path(&format!("done/{name}"))).unwrap().changes.len(), 1, "{name}");
    }
}

#[test]
fn addresses_that_cannot_be_used_are_refused() {
    let studio = Studio::new();
    let run = "stylize photo.png painting.png -o out.png --size 24 --iterations 1";
    let wrong = studio.run(&format!("{run} --live photo.png"));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("put --live after the files"), "{said}");
    assert_eq!(studio.run(&format!("{run} --open")).status.code(), Some(2));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    studio.refuses(1, "use another port with --live", &format!("{run} --live {port}"));
    let open = studio.run(&format!("{run} --live 0.0.0.0:0 -q"));
    let said = String::from_utf8_lossy(&open.stderr).into_owned();
    assert!(open.status.success() && said.contains("can be reached from other machines"), "{said}");
}

/// The browser is what the system opens addresses with.
#[cfg(target_os = "linux")]
#[test]
fn the_page_is_opened_in_the_browser() {
    use std::os::unix::fs::PermissionsExt;
    let studio = Studio::new();
    let script = studio.path("xdg-open");
    fs::write(&script, "#!/bin/sh\necho \"$1\" > opened.part\n/bin/mv opened.part opened\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let run = "stylize photo.png painting.png -o out.png --size 24 --iterations 2 --live --open";
    let output = studio.command(run).env("PATH", studio.folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let opened = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(20));
        fs::read_to_string(studio.path("opened"))
    });
    let opened = opened.take(500).find_map(Result::ok).unwrap();
    assert!(said.contains(&format!("live at {opened}")), "{said}");
}
