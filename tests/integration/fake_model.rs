//! The fake model keeps the promises on which tests rely.

use serde_json::{Value, json};

use crate::support::http::{Client, Raw};
use crate::support::model::{FakeModel, HELLO, Step, TITLE};
use crate::support::wait::DEADLINE;

fn request(messages: Value) -> Value {
    json!({"model": "claude-test", "messages": messages, "tools": [{"name": "Bash"}], "max_tokens": 100})
}

fn prompt(text: &str) -> Value {
    request(json!([{"role": "user", "content": text}]))
}

fn said(model: &FakeModel, body: &Value) -> String {
    let reply = Client::new(model.addr()).post("/v1/messages", body).expect(200).json();
    reply["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

/// The `data:` objects of a stream.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn a_prompt_without_a_script_is_greeted() {
    let model = FakeModel::start();
    assert_eq!(said(&model, &prompt("hi")), HELLO);
    let requests = model.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].is_turn());
    assert_eq!(requests[0].body["model"], "claude-test");
}

#[test]
fn the_steps_of_a_script_answer_one_request_each() {
    let model = FakeModel::start();
    let script = r#"please <<[{"tool":"Bash","input":{"command":"echo '>>'"}},{"text":"second"}]>> thanks"#;
    let client = Client::new(model.addr());
    let call = client.post("/v1/messages", &prompt(script)).expect(200).json();
    assert_eq!(call["stop_reason"], "tool_use");
    assert_eq!(call["content"][0]["input"], json!({"command": "echo '>>'"}));

    let mut messages = vec![
        json!({"role": "user", "content": script}),
        json!({"role": "system", "content": "a text of the CLI's own"}),
        json!({"role": "assistant", "content": call["content"]}),
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "out"}]}),
    ];
    assert_eq!(said(&model, &request(messages.clone().into())), "second");
    messages.push(json!({"role": "assistant", "content": "second"}));
    messages.push(json!({"role": "user", "content": "<system-reminder>be brief</system-reminder>"}));
    messages.push(json!({"role": "user", "content": "and now?"}));
    assert_eq!(said(&model, &request(messages.into())), HELLO, "a later prompt ends the script");
}

#[test]
fn script_in_a_scripts_string_waits_for_the_sub_agent() {
    let model = FakeModel::start();
    let inner = r#"<<{"text":"inner"}>>"#;
    let outer = format!("<<{}>>", json!([{"tool": "Task", "input": {"prompt": inner}}, {"text": "outer"}]));
    let client = Client::new(model.addr());
    let call = client.post("/v1/messages", &prompt(&outer)).json();
    assert_eq!(call["content"][0]["input"]["prompt"], inner);
    assert_eq!(said(&model, &prompt(inner)), "inner");
    assert!(said(&model, &prompt("<<[{]>>")).contains("no JSON"));
    assert!(said(&model, &prompt(r#"<<{"txt":"x"}>>"#)).contains("wrong step"));
}

#[test]
fn request_without_tools_gets_a_title_and_uses_up_nothing() {
    let model = FakeModel::start();
    model.respond_with(Step::text("queued"));
    let mut title = prompt("<<[{\"text\":\"scripted\"}]>>");
    title["tools"] = json!([]);
    assert_eq!(said(&model, &title), TITLE);
    assert_eq!(said(&model, &prompt("hi")), "queued");
    assert_eq!(said(&model, &prompt("hi")), HELLO);
    let tokens = Client::new(model.addr()).post("/v1/messages/count_tokens", &title).json();
    assert!(tokens["input_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn errors_come_as_often_as_asked_for() {
    let model = FakeModel::start();
    let client = Client::new(model.addr());
    model.respond_with(Step::error(429).retry_after(1).times(2, "at last"));
    for _ in 0..2 {
        let reply = client.post("/v1/messages", &prompt("hi")).expect(429);
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.json()["error"]["type"], "rate_limit_error");
    }
    assert_eq!(said(&model, &prompt("hi")), "at last");

    for status in [401, 500, 529] {
        model.always(Step::error(status));
        assert_eq!(client.post("/v1/messages", &prompt("hi")).status, status);
    }
    model.reset();
    assert_eq!(said(&model, &prompt("hi")), HELLO);
}

#[test]
fn a_held_stream_stays_open_until_it_is_released() {
    let model = FakeModel::start();
    model.respond_with(Step::deltas(4).hold_after(2));
    let mut body = prompt("hi");
    body["stream"] = true.into();
    let body = body.to_string();
    let mut raw = Raw::connect(model.addr()).unwrap();
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    raw.send(head.as_bytes()).unwrap();
    model.wait_held(1);
    model.release();
    let reply = raw.reply(false).unwrap();
    let events = events(&reply.text());
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, "w0 w1 w2 w3 ");
    assert_eq!(events.first().unwrap()["type"], "message_start");
    assert_eq!(events.last().unwrap()["type"], "message_stop");
}

#[test]
fn model_that_is_down_refuses_and_returns_on_its_port() {
    let mut model = FakeModel::start();
    model.respond_with(Step::deltas(3).hold_after(1));
    let mut body = prompt("hi");
    body["stream"] = true.into();
    let body = body.to_string();
    let mut raw = Raw::connect(model.addr()).unwrap();
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    raw.send(head.as_bytes()).unwrap();
    model.wait_held(1);
    model.down();
    assert!(raw.is_closed_within(DEADLINE), "a running stream is cut");
    assert!(Client::new(model.addr()).try_request("GET", "/", &[], b"").is_err());
    model.up();
    assert_eq!(said(&model, &prompt("hi")), HELLO);
}

#[test]
fn the_other_protocols_say_the_same() {
    let model = FakeModel::start();
    let client = Client::new(model.addr());
    let script = r#"<<[{"thinking":"hm","text":"one two","tool":"Bash","input":{"command":"true"}}]>>"#;
    let tools = json!([{"name": "Bash", "type": "function"}]);
    let messages = json!([{"role": "user", "content": script}]);

    let chat = json!({"model": "m", "stream": true, "tools": tools, "messages": messages});
    let reply = client.post("/v1/chat/completions", &chat).expect(200).text();
    assert!(reply.ends_with("data: [DONE]\n\n"), "{reply}");
    let frames = events(&reply);
    let text: String = frames.iter().filter_map(|frame| frame["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "one two");
    assert!(frames.iter().any(|frame| frame["choices"][0]["finish_reason"] == "tool_calls"));

    let responses = json!({"model": "m", "stream": true, "tools": tools,
                           "input": [{"type": "message", "role": "user", "content": script}]});
    let frames = events(&client.post("/v1/responses", &responses).expect(200).text());
    let numbers: Vec<u64> = frames.iter().map(|frame| frame["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=frames.len() as u64).collect::<Vec<_>>());
    let last = frames.last().unwrap();
    let kinds: Vec<&str> =
        last["response"]["output"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(
        (last["type"].as_str(), kinds),
        (Some("response.completed"), vec!["reasoning", "message", "function_call"])
    );

    let gemini = json!({"tools": [{"functionDeclarations": [{"name": "Bash"}]}],
                        "contents": [{"role": "user", "parts": [{"text": script}]}]});
    let path = "/v1beta/models/g:streamGenerateContent?alt=sse";
    let frames = events(&client.post(path, &gemini).expect(200).text());
    let last = &frames.last().unwrap()["candidates"][0];
    assert_eq!(last["finishReason"], "STOP");
    assert_eq!(last["content"]["parts"][0]["functionCall"]["name"], "Bash");
    model.always(Step::error(503));
    let reply = client.post(path, &json!({"contents": []})).expect(503).json();
    assert_eq!(reply["error"]["status"], "UNAVAILABLE");
}
