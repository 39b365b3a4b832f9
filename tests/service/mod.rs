//! The real `sisa serve` as a process, and a client that speaks HTTP over a socket.
#![allow(dead_code, clippy::allow_attributes, reason = "each test uses some of it")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at what they do not expect")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;

/// Nothing in a test waits longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that ends with its value.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    /// What it said on standard error.
    log: Arc<Mutex<String>>,
}

impl Service {
    /// Starts on a free port of this machine, and waits until it listens.
    pub(crate) fn start(root: &Path, args: &[&str]) -> Service {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
        command.arg("-w").arg(root).args(["serve", "--json", "--threads", "2", "--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (heard, stderr) = (log.clone(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = heard.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listening: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}{}", log.lock().unwrap()));
        let address = listening["address"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Service { child, address, log }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn client(&self) -> Client {
        Client { address: self.address.clone(), key: None, stream: None }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, without a chance to put anything in order.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits for that; tells its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.wait()
    }

    pub(crate) fn terminate(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The same, which must have this status.
    pub(crate) fn is(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// A connection that is kept open from one request to the next.
pub(crate) struct Client {
    address: String,
    pub(crate) key: Option<String>,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn with_key(self, key: &str) -> Client {
        Client { key: Some(key.to_owned()), ..self }
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, &[], b"").unwrap()
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Reply {
        self.ask("POST", path, &[("content-type", "application/json")], body.as_bytes()).unwrap()
    }

    pub(crate) fn csv(&mut self, path: &str, body: &[u8]) -> Reply {
        self.ask("POST", path, &[("content-type", "text/csv")], body).unwrap()
    }

    /// Sends a request and reads its answer whole; an error is a connection that broke.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.address, body.len());
        if let Some(key) = &self.key {
            head += &format!("authorization: Bearer {key}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let sent = self.stream().and_then(|stream| {
            stream.get_mut().write_all(head.as_bytes())?;
            // Who refuses a body may answer before it has read all of it.
            let _ = stream.get_mut().write_all(body);
            read(stream)
        });
        if sent.as_ref().map_or(true, |reply| reply.header("connection") == Some("close")) {
            self.stream = None;
        }
        sent
    }

    fn stream(&mut self) -> std::io::Result<&mut BufReader<TcpStream>> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            self.stream = Some(BufReader::new(stream));
        }
        Ok(self.stream.as_mut().unwrap())
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Reply> {
    let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(broken());
    }
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(broken());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, l)| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Reply { status, headers, body })
}

/// Makes a key by the real command.
pub(crate) fn key(root: &Path, name: &str, roles: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sisa"))
        .arg("-w")
        .arg(root)
        .args(["key", "add", name, "--role", roles])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
