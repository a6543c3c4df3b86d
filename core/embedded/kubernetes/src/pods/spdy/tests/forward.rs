//! Connections to ports.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::super::forward::{MOST_STREAMS, serve};
use super::super::frame::Reset;
use super::*;
use crate::pods::port::{Target, WAITING};
use crate::pods::{
    ExecRequest, ExecSession, LogRequest, LogStream, PodBackend, PodError, PortConnection,
    PortRequest,
};

/// A pod that sends back what it is sent, on any port but the first.
struct Echo;

impl PodBackend for Echo {
    fn logs(&self, _: LogRequest) -> BoxFuture<'_, Result<LogStream, PodError>> {
        unreachable!("no log is read")
    }

    fn exec(&self, _: ExecRequest) -> BoxFuture<'_, Result<ExecSession, PodError>> {
        unreachable!("no command is run")
    }

    fn connect(&self, request: PortRequest) -> BoxFuture<'_, Result<PortConnection, PodError>> {
        Box::pin(async move {
            if request.port == 1 {
                return Err(PodError::Failed {
                    pod: request.pod,
                    reason: "nobody listens".to_owned(),
                });
            }
            let (near, far) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(far);
                drop(tokio::io::copy(&mut reader, &mut writer).await);
                drop(writer.shutdown().await);
            });
            let connection: PortConnection = Box::new(near);
            Ok(connection)
        })
    }
}

/// A client of [`Echo`].
fn begin() -> Client {
    let (client, far) = Client::new();
    let target = Target {
        backend: Arc::new(Echo),
        request: PortRequest {
            pod: "web-0".to_owned(),
            uid: "u".to_owned(),
            ..PortRequest::default()
        },
    };
    tokio::spawn(serve(far, target));
    client
}

/// Begins both streams of a request, and reads that they are taken.
async fn connect(client: &mut Client, error: u32, port: &str) {
    let request = error.to_string();
    for (stream, kind) in [(error, "error"), (error + 2, "data")] {
        let headers = [
            ("streamtype", kind),
            ("port", port),
            ("requestid", request.as_str()),
        ];
        client.open(stream, &headers).await;
        assert_eq!(client.read().await, Read::Reply(stream));
    }
}

#[tokio::test]
async fn connections_carry_bytes_both_ways_side_by_side() {
    let mut client = begin();
    connect(&mut client, 1, "80").await;
    connect(&mut client, 5, "8080").await;
    for (stream, text) in [(3, "hello"), (7, "there"), (3, "again")] {
        client
            .write(&frame::data(stream, false, text.as_bytes()))
            .await;
        assert_eq!(client.read().await, data(stream, false, text));
    }
    // The client ends its side, then the pod ends.
    client.write(&frame::data(3, true, b"bye")).await;
    assert_eq!(client.read().await, data(3, false, "bye"));
    assert_eq!(client.read().await, data(3, true, ""));
    assert_eq!(client.read().await, data(1, true, ""));
    client.write(&frame::data(7, false, b"on")).await;
    assert_eq!(client.read().await, data(7, false, "on"));
}

#[tokio::test]
async fn more_than_a_piece_goes_through() {
    let mut client = begin();
    connect(&mut client, 1, "80").await;
    let sent = "0123456789".repeat(20_000);
    let (mut reader, mut writer) = tokio::io::split(client.pipe);
    let frame = frame::data(3, true, sent.as_bytes());
    let writing = tokio::spawn(async move {
        writer.write_all(&frame).await.unwrap();
        writer
    });
    let mut got = Vec::new();
    loop {
        let mut head = [0; 8];
        let read = reader.read_exact(&mut head);
        tokio::time::timeout(BOUND, read).await.unwrap().unwrap();
        let Head::Data {
            stream: 3,
            is_last,
            length,
        } = Head::parse(head).unwrap()
        else {
            panic!("{head:?}")
        };
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).await.unwrap();
        got.append(&mut payload);
        if is_last {
            break;
        }
    }
    assert_eq!(got, sent.as_bytes());
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_and_nothing_else_ends() {
    let mut client = begin();
    connect(&mut client, 1, "1").await;
    let why = "error forwarding port 1 to pod web-0, uid u: the node could not serve pod \"web-0\": nobody listens";
    assert_eq!(client.read().await, data(1, true, why));
    assert_eq!(client.read().await, Read::Reset(3, 5));
    client.write(&frame::ping(9)).await;
    assert_eq!(client.read().await, Read::Ping(9));
    connect(&mut client, 5, "80").await;
}

#[tokio::test]
async fn a_client_that_resets_a_stream_is_done_with_it() {
    let mut client = begin();
    connect(&mut client, 1, "80").await;
    client.write(&frame::reset(3, Reset::Cancel)).await;
    assert_eq!(client.read().await, data(3, true, ""));
    assert_eq!(client.read().await, data(1, true, ""));
    // What comes after is of no stream.
    client.write(&frame::data(3, false, b"late")).await;
    client.write(&frame::ping(1)).await;
    assert_eq!(client.read().await, Read::Ping(1));
}

#[tokio::test]
async fn clients_of_old_give_no_request_id() {
    let mut client = begin();
    for (stream, kind) in [(1, "error"), (3, "data")] {
        client
            .open(stream, &[("streamtype", kind), ("port", "80")])
            .await;
        assert_eq!(client.read().await, Read::Reply(stream));
    }
    client.write(&frame::data(3, false, b"hello")).await;
    assert_eq!(client.read().await, data(3, false, "hello"));
}

#[tokio::test]
async fn streams_that_make_no_sense_are_reset() {
    let mut client = begin();
    let good = [("streamtype", "error"), ("port", "80"), ("requestid", "a")];
    client.open(5, &good).await;
    assert_eq!(client.read().await, Read::Reply(5));
    for (stream, headers) in [
        // Not after the last, not a client's, the same once more.
        (3, good),
        (6, good),
        (7, good),
        (
            9,
            [("streamtype", "error"), ("port", "0"), ("requestid", "b")],
        ),
        (
            11,
            [("streamtype", "other"), ("port", "80"), ("requestid", "b")],
        ),
        (
            13,
            [
                ("streamtype", "data"),
                ("port", "65536"),
                ("requestid", "b"),
            ],
        ),
        (
            15,
            [("streamtype", "data"), ("no", "80"), ("requestid", "b")],
        ),
    ] {
        client.open(stream, &headers).await;
        assert_eq!(client.read().await, Read::Reset(stream, 1));
    }
}

#[tokio::test]
async fn a_client_can_open_so_many_streams_and_send_so_much_ahead() {
    let mut client = begin();
    let most = u32::try_from(MOST_STREAMS).unwrap();
    for number in 0..most {
        let (stream, request) = (2 * number + 1, number.to_string());
        let headers = [
            ("streamtype", "data"),
            ("port", "80"),
            ("requestid", request.as_str()),
        ];
        client.open(stream, &headers).await;
        assert_eq!(client.read().await, Read::Reply(stream));
    }
    let one_more = [("streamtype", "error"), ("port", "80"), ("requestid", "a")];
    client.open(2 * most + 1, &one_more).await;
    assert_eq!(client.read().await, Read::Reset(2 * most + 1, 3));
    for _ in 0..=WAITING {
        client.write(&frame::data(1, false, b"x")).await;
    }
    assert_eq!(client.read().await, Read::Reset(1, 5));
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_is_cut_off() {
    let too_large = [0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff];
    let packed_badly = frame::tests::begin(1, b"not packed");
    for frame in [too_large.as_slice(), &packed_badly] {
        let mut client = begin();
        client.write(frame).await;
        assert!(client.is_over().await, "{frame:?}");
    }
}
