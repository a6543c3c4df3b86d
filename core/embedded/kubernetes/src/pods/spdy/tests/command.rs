//! Commands.

use serde_json::Value;
use tokio::sync::oneshot;

use super::super::command::{Wanted, serve};
use super::super::frame::Reset;
use super::*;
use crate::pods::ExecSession;
use crate::standing::Guard;

/// As most clients want it.
const WANTED: Wanted = Wanted {
    stdin: true,
    stdout: true,
    stderr: true,
    resize: false,
};

/// The other side of a session.
struct Command {
    stdin: mpsc::Receiver<Bytes>,
    stdout: mpsc::Sender<Bytes>,
    stderr: mpsc::Sender<Bytes>,
    exit: oneshot::Sender<Result<i32, String>>,
    resize: mpsc::Receiver<(u16, u16)>,
}

fn begin(wanted: Wanted) -> (Client, Command) {
    let (client, far) = Client::new();
    let (stdin, input) = mpsc::channel(1);
    let (output, stdout) = mpsc::channel(1);
    let (errors, stderr) = mpsc::channel(1);
    let (exited, exit) = oneshot::channel();
    let (resize, sizes) = mpsc::channel(2);
    let session = ExecSession {
        stdin,
        stdout,
        stderr,
        exit,
        resize,
    };
    let command = Command {
        stdin: input,
        stdout: output,
        stderr: errors,
        exit: exited,
        resize: sizes,
    };
    tokio::spawn(serve(far, session, wanted, Guard::none()));
    (client, command)
}

/// Begins streams of these kinds, 1, 3 and so on, and reads that they are taken.
async fn open(client: &mut Client, kinds: &[&str]) {
    for (stream, kind) in (1..).step_by(2).zip(kinds.iter().copied()) {
        client.open(stream, &[("streamtype", kind)]).await;
        assert_eq!(client.read().await, Read::Reply(stream));
    }
}

async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, waiting).await.unwrap()
}

/// The last that a client reads: how the command ended.
async fn status(client: &mut Client, stream: u32) -> Value {
    let Read::Data(number, true, text) = client.read().await else {
        panic!("no end")
    };
    assert_eq!(number, stream);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_command_talks_and_its_exit_code_comes_last() {
    let (mut client, mut command) = begin(WANTED);
    open(&mut client, &["error", "stdin", "stdout", "stderr"]).await;
    client.write(&frame::data(3, false, b"hello")).await;
    assert_eq!(within(command.stdin.recv()).await.unwrap(), "hello");
    for (from, stream) in [(&command.stdout, 5), (&command.stderr, 7)] {
        from.send(Bytes::from_static(b"said")).await.unwrap();
        assert_eq!(client.read().await, data(stream, false, "said"));
    }
    client.write(&frame::data(3, true, b"")).await;
    assert_eq!(within(command.stdin.recv()).await, None);
    command
        .stdout
        .send(Bytes::from_static(b"bye"))
        .await
        .unwrap();
    command.exit.send(Ok(3)).unwrap();
    drop((command.stdout, command.stderr));
    assert_eq!(client.read().await, data(5, false, "bye"));
    for stream in [3, 5, 7] {
        assert_eq!(client.read().await, data(stream, true, ""));
    }
    let status = status(&mut client, 1).await;
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"][0]["message"], "3");
}

#[tokio::test]
async fn a_command_that_succeeds_says_so() {
    let (mut client, command) = begin(Wanted {
        stdout: true,
        ..Wanted::default()
    });
    open(&mut client, &["error", "stdout"]).await;
    command.exit.send(Ok(0)).unwrap();
    drop((command.stdout, command.stderr));
    assert_eq!(client.read().await, data(3, true, ""));
    assert_eq!(status(&mut client, 1).await["status"], "Success");
}

#[tokio::test]
async fn nothing_is_told_before_all_streams_are_there() {
    let (mut client, command) = begin(WANTED);
    command
        .stdout
        .send(Bytes::from_static(b"early"))
        .await
        .unwrap();
    open(&mut client, &["error", "stdin", "stdout"]).await;
    client.write(&frame::ping(1)).await;
    assert_eq!(client.read().await, Read::Ping(1));
    client.open(7, &[("streamtype", "stderr")]).await;
    assert_eq!(client.read().await, Read::Reply(7));
    assert_eq!(client.read().await, data(5, false, "early"));
}

#[tokio::test]
async fn what_is_sent_ahead_of_the_last_stream_is_kept() {
    let (mut client, mut command) = begin(WANTED);
    open(&mut client, &["error", "stdin"]).await;
    client.write(&frame::data(3, true, b"hello")).await;
    for (stream, kind) in [(5, "stdout"), (7, "stderr")] {
        client.open(stream, &[("streamtype", kind)]).await;
        assert_eq!(client.read().await, Read::Reply(stream));
    }
    assert_eq!(within(command.stdin.recv()).await.unwrap(), "hello");
    assert_eq!(within(command.stdin.recv()).await, None);
}

#[tokio::test]
async fn a_command_whose_input_is_not_wanted_has_none() {
    let (mut client, mut command) = begin(Wanted {
        stdout: true,
        ..Wanted::default()
    });
    open(&mut client, &["error", "stdout"]).await;
    assert_eq!(within(command.stdin.recv()).await, None);
}

#[tokio::test]
async fn sizes_of_a_terminal_come_on_a_stream_of_their_own() {
    let (mut client, mut command) = begin(Wanted {
        stdout: true,
        resize: true,
        ..Wanted::default()
    });
    open(&mut client, &["error", "stdout", "resize"]).await;
    let sizes = b"{\"Width\":80,\"Height\":24}\n{\"Width\":100,\"Height\":30}\n";
    client.write(&frame::data(5, false, sizes)).await;
    for size in [(80, 24), (100, 30)] {
        assert_eq!(within(command.resize.recv()).await, Some(size));
    }
}

#[tokio::test]
async fn streams_that_make_no_sense_are_reset() {
    let (mut client, _command) = begin(WANTED);
    open(&mut client, &["error"]).await;
    for (stream, header) in [
        // There already, unknown, of no kind, not a client's.
        (3, ("streamtype", "error")),
        (5, ("streamtype", "data")),
        (7, ("port", "80")),
        (8, ("streamtype", "stdin")),
    ] {
        client.open(stream, &[header]).await;
        assert_eq!(
            client.read().await,
            Read::Reset(stream, Reset::Protocol as u32)
        );
    }
    for (stream, kind) in [(9, "stdin"), (11, "stdout"), (13, "stderr")] {
        client.open(stream, &[("streamtype", kind)]).await;
        assert_eq!(client.read().await, Read::Reply(stream));
    }
    client.open(15, &[("streamtype", "resize")]).await;
    assert_eq!(client.read().await, Read::Reset(15, Reset::Refused as u32));
}

#[tokio::test]
async fn a_command_ends_with_its_client() {
    let (mut client, mut command) = begin(WANTED);
    open(&mut client, &["error", "stdin", "stdout", "stderr"]).await;
    drop(client);
    within(command.exit.closed()).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_before_its_streams_ends_the_command() {
    let (mut client, mut command) = begin(WANTED);
    open(&mut client, &["error"]).await;
    drop(client);
    within(command.exit.closed()).await;
}

#[tokio::test]
async fn much_input_comes_through_a_command_that_sends_it_back() {
    let (mut client, command) = begin(WANTED);
    open(&mut client, &["error", "stdin", "stdout", "stderr"]).await;
    let Command {
        mut stdin,
        stdout,
        stderr,
        exit,
        ..
    } = command;
    tokio::spawn(async move {
        while let Some(bytes) = stdin.recv().await {
            stdout.send(bytes).await.unwrap();
        }
        exit.send(Ok(0)).unwrap();
        drop((stdout, stderr));
    });
    let sent = "0123456789".repeat(100_000);
    let (reader, mut writer) = tokio::io::split(client.pipe);
    let frame = frame::data(3, true, sent.as_bytes());
    let writing = async { writer.write_all(&frame).await.unwrap() };
    let reading = read_output(reader, 5);
    let ((), got) = within(async { tokio::join!(writing, reading) }).await;
    assert_eq!(got, sent.as_bytes());
}

/// What comes on a stream, until its end.
async fn read_output(mut reader: impl AsyncRead + Unpin, wanted: u32) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        let mut head = [0; 8];
        reader.read_exact(&mut head).await.unwrap();
        let Head::Data {
            stream,
            is_last,
            length,
        } = Head::parse(head).unwrap()
        else {
            panic!("{head:?}")
        };
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).await.unwrap();
        if stream == wanted {
            got.append(&mut payload);
            if is_last {
                return got;
            }
        }
    }
}
