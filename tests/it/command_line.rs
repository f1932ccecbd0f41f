//! The built binary: what its commands print, with which code they exit, and how it goes when told to.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use rehearsal::bedrock::{Answer, BedrockOptions, BedrockStandIn};
use rehearsal::dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
use rehearsal::twilio::{Call, CallEvent, CallOptions, Carrier, CarrierOptions};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use trunkline::config::SETTINGS;

use crate::support::{AT_ONCE, SOON, ask, get, sdk_item};

const TABLE: &str = "calls";
const TOKEN: &str = "command-line-token";
/// `EX_USAGE` of sysexits.
const BAD_SETTING: i32 = 64;

/// The binary with nothing in its environment but what an AWS program needs to find no account.
fn trunkline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.args(arguments).env_clear().kill_on_drop(true).stdin(Stdio::null());
    command.env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
    command
}

async fn run(command: &mut Command) -> Output {
    timeout(SOON, command.output()).await.expect("the command ends").expect("the command starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn configuration(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configuration").join(path).display().to_string()
}

#[tokio::test]
async fn a_missing_or_bad_setting_exits_64_and_names_the_variable() {
    let complete = [
        ("TABLE_NAME", "calls"),
        ("STACK_USE_CASE", "reception"),
        ("PUBLIC_URL", "https://voice.example.com"),
        ("TWILIO_AUTH_TOKEN", "token"),
    ];
    for (missing, _) in complete {
        let given = complete.into_iter().filter(|(name, _)| *name != missing);
        let output = run(trunkline(&["serve"]).envs(given)).await;
        assert_eq!(output.status.code(), Some(BAD_SETTING), "{missing}");
        assert!(stderr(&output).contains(&format!("{missing}: is not set")), "{}", stderr(&output));
    }
    let output = run(trunkline(&["--port", "http"]).envs(complete)).await;
    assert_eq!(output.status.code(), Some(BAD_SETTING));
    assert!(stderr(&output).contains("PORT: wants a port"), "{}", stderr(&output));
    assert_eq!(run(&mut trunkline(&["--no-such-flag"])).await.status.code(), Some(BAD_SETTING));
}

#[tokio::test]
async fn help_lists_every_setting() {
    let output = run(&mut trunkline(&["serve", "--help"])).await;
    assert_eq!(output.status.code(), Some(0));
    for setting in SETTINGS {
        assert!(stdout(&output).contains(setting.variable), "{}", setting.variable);
    }
}

#[tokio::test]
async fn the_samples_pass_their_check() {
    let output = run(&mut trunkline(&["use-case", "check", &configuration("")])).await;
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).ends_with("0 errors, 0 warnings\n"), "{}", stdout(&output));
}

#[tokio::test]
async fn a_broken_use_case_is_reported_with_file_path_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let use_case = folder.path().join("night-desk");
    std::fs::create_dir(&use_case).unwrap();
    std::fs::write(use_case.join("prompt.md"), "You work at night.").unwrap();
    let settings = use_case.join("use-case.toml");
    std::fs::write(&settings, "[inferenceConfig]\nmaxTokens = \"many\"\n").unwrap();
    let path = folder.path().display().to_string();
    let output = run(&mut trunkline(&["use-case", "check", &path])).await;
    assert_eq!(output.status.code(), Some(1));
    let line = format!("error: {}: inferenceConfig.maxTokens", settings.display());
    assert!(stdout(&output).contains(&line), "{}", stdout(&output));
    std::fs::write(&settings, "title = ").unwrap();
    let output = run(&mut trunkline(&["use-case", "check", &path])).await;
    assert_eq!(output.status.code(), Some(1));
    let complaint = stderr(&output);
    assert!(complaint.contains("use-case.toml") && complaint.contains("is not TOML"), "{complaint}");
}

#[tokio::test]
async fn a_use_case_that_is_named_and_not_there_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let use_case = folder.path().join("reception");
    std::fs::create_dir(&use_case).unwrap();
    let settings = "prompt = \"Be kind.\"\n[[tools]]\nname = \"go_on\"\ninputSchema.json.type = \"object\"\n\
                    inputSchema.json.properties.useCase.type = \"string\"\n\
                    handler = { type = \"set_use_case\", useCases = [\"reception\", \"billing\"] }\n";
    std::fs::write(use_case.join("use-case.toml"), settings).unwrap();
    let numbers = "[numbers.\"+18005550199\"]\nuseCase = \"sales\"\n";
    std::fs::write(folder.path().join("numbers.toml"), numbers).unwrap();
    let output = run(&mut trunkline(&["use-case", "check", &folder.path().display().to_string()])).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.contains("use-case.toml: tools.go_on.handler.useCases: there is no use case billing"),
        "{said}"
    );
    assert!(said.contains("numbers.toml: useCase: there is no use case sales"), "{said}");
    assert!(said.ends_with("2 items: 0 errors, 2 warnings\n"), "{said}");
}

#[tokio::test]
async fn what_the_service_would_not_ask_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let use_case = folder.path().join("reception");
    std::fs::create_dir(&use_case).unwrap();
    let settings = "prompt = \"Be kind.\"\n[[tools]]\nname = \"find\"\ninputSchema.json.type = \"object\"\n\
                    handler = { type = \"http\", url = \"https://a.example/#x\" }\n\
                    [[tools]]\nname = \"tell\"\ninputSchema.json.type = \"object\"\n\
                    handler = { type = \"http\", url = \"https://a.example/\", headers = { X-A = \"a\\nb\" } }\n\
                    [mcpServers.crm]\nurl = \"https://a.example/\"\nallow = [\"x\"]\nheaders = { X-B = \"a\\nb\" }\n";
    std::fs::write(use_case.join("use-case.toml"), settings).unwrap();
    let output = run(&mut trunkline(&["use-case", "check", &folder.path().display().to_string()])).await;
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for line in [
        "use-case.toml: tools.find.handler: the URL must not have a fragment (#)",
        "use-case.toml: tools.tell.handler: the header x-a holds characters that cannot be sent",
        "use-case.toml: mcpServers.crm: the header X-B of the server crm cannot be sent",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.ends_with("1 item: 3 errors, 0 warnings\n"), "{said}");
}

#[tokio::test]
async fn records_are_put_and_counted_by_their_kind() {
    let dynamodb = table().await;
    let folder = tempfile::tempdir().unwrap();
    let use_case = folder.path().join("rental");
    std::fs::create_dir(&use_case).unwrap();
    let settings = "prompt = \"Be kind.\"\n[[tools]]\nname = \"status\"\ninputSchema.json.type = \"object\"\n\
                    handler = { type = \"record\", kind = \"reservation\", action = \"list\" }\n";
    std::fs::write(use_case.join("use-case.toml"), settings).unwrap();
    let records = "[[record]]\nkind = \"reservation\"\nkey = \"1\"\n[[record]]\nkind = \"reservation\"\nkey = \"2\"\n\
                   [[do_not_call]]\nnumber = \"+14155550111\"\n";
    std::fs::write(folder.path().join("records.toml"), records).unwrap();
    let path = folder.path().display().to_string();
    let with_table = |arguments: &[&str]| {
        let mut command = trunkline(arguments);
        command.env("TABLE_NAME", TABLE).env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint());
        command
    };
    let put = run(&mut with_table(&["use-case", "put", &path])).await;
    assert_eq!(put.status.code(), Some(0), "{}", stderr(&put));
    let put = run(&mut with_table(&["use-case", "put", &path])).await;
    let said = stdout(&put);
    assert!(
        said.contains("2 records exist already and were left") && !said.contains("loaded record "),
        "{said}"
    );
    let put = run(&mut with_table(&["use-case", "put", "--overwrite-records", &path])).await;
    assert!(stdout(&put).contains("loaded record record::reservation::1\n"), "{}", stdout(&put));
    let list = run(&mut with_table(&["use-case", "list"])).await;
    assert_eq!(
        stdout(&list),
        "rental\t\nrecord::reservation\t2 items\ndo-not-call\t1 item\n",
        "{}",
        stderr(&list)
    );
}

async fn table() -> EmbeddedDynamoDb {
    let dynamodb = EmbeddedDynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    dynamodb.create_table(TABLE).await.unwrap();
    dynamodb
}

#[tokio::test]
async fn a_printed_item_is_what_put_item_takes() {
    let output =
        run(&mut trunkline(&["use-case", "item", &configuration("use-cases/albert-einstein")])).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let dynamodb = table().await;
    let client = dynamodb.client().await;
    let put = client.put_item().table_name(TABLE).set_item(Some(sdk_item(&printed)));
    put.send().await.unwrap();
    let item = client.get_item().table_name(TABLE);
    let item = item.key("pk", text("albert-einstein")).key("sk", text("configuration"));
    let item = item.send().await.unwrap().item.unwrap();
    assert_eq!(item["title"].as_s().unwrap(), "Albert Einstein");
    let whole = run(&mut trunkline(&["use-case", "item", &configuration("")])).await;
    assert_eq!(whole.status.code(), Some(1), "one item at a time");
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[tokio::test]
async fn items_are_put_and_listed() {
    let dynamodb = table().await;
    let with_table = |arguments: &[&str]| {
        let mut command = trunkline(arguments);
        command.env("TABLE_NAME", TABLE).env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint());
        command
    };
    let put = run(&mut with_table(&["use-case", "put", &configuration("")])).await;
    assert_eq!(put.status.code(), Some(0), "{}", stderr(&put));
    let list = run(&mut with_table(&["use-case", "list"])).await;
    assert_eq!(list.status.code(), Some(0), "{}", stderr(&list));
    let listed = stdout(&list);
    for line in [
        "albert-einstein\tAlbert Einstein",
        "restaurant-ordering\tRestaurant ordering",
        "car-rental\tCar rental",
    ] {
        assert!(listed.lines().any(|listed| listed == line), "{listed}");
    }
}

/// The binary as a service, between stand-ins.
struct Service {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    url: String,
    port: u16,
    dynamodb: EmbeddedDynamoDb,
    bedrock: BedrockStandIn,
}

async fn serve() -> Service {
    let dynamodb = table().await;
    let bedrock = BedrockStandIn::start(BedrockOptions::default()).await.unwrap();
    let port = free_port().await;
    let url = format!("http://127.0.0.1:{port}");
    let mut command = trunkline(&["serve"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint());
    command.env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", bedrock.endpoint());
    command.env("TABLE_NAME", TABLE).env("STACK_USE_CASE", "albert-einstein").env("MODEL_IDENTIFIER", "any");
    command.env("PUBLIC_URL", &url).env("TWILIO_AUTH_TOKEN", TOKEN);
    command.env("PORT", port.to_string()).env("LISTEN_ADDRESS", "127.0.0.1");
    let put = trunkline(&["use-case", "put", &configuration("")])
        .env("TABLE_NAME", TABLE)
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint())
        .output();
    assert!(timeout(SOON, put).await.unwrap().unwrap().status.success());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut service = Service { child, log, url, port, dynamodb, bedrock };
    service.logs("listening").await;
    service
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

impl Service {
    /// Waits for a line of the log that has these words.
    async fn logs(&mut self, words: &str) -> String {
        loop {
            let line = timeout(SOON, self.log.next_line()).await.expect("it goes on").unwrap();
            let line = line.unwrap_or_else(|| panic!("the log ended without {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("the service runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(timeout(SOON, sent).await.unwrap().unwrap().success());
    }

    async fn exit_code(&mut self) -> Option<i32> {
        timeout(2 * SOON, self.child.wait()).await.expect("it exits").unwrap().code()
    }

    async fn call(&self) -> Call {
        let options = CarrierOptions {
            service: self.url.parse().unwrap(),
            public_url: self.url.clone(),
            auth_token: Some(TOKEN.to_owned()),
            connect_to: None,
            speech: AT_ONCE,
        };
        Carrier::new(options).unwrap().call(CallOptions::default()).await.unwrap()
    }
}

#[tokio::test]
async fn the_health_check_tells_whether_the_service_lives() {
    let nobody = free_port().await.to_string();
    let output = run(&mut trunkline(&["healthcheck", "--port", &nobody])).await;
    assert_eq!(output.status.code(), Some(1));
    let mut service = serve().await;
    let port = service.port.to_string();
    assert_eq!(run(trunkline(&["healthcheck"]).env("PORT", port)).await.status.code(), Some(0));
    service.signal("INT").await;
    assert_eq!(service.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_a_call_and_the_process_at_once() {
    let mut service = serve().await;
    let mut call = service.call().await;
    service.bedrock.script(Answer::text("Time is relative."));
    ask(&mut call, "What is time?").await;
    service.signal("TERM").await;
    service.logs("draining").await;
    let told = Instant::now();
    service.signal("TERM").await;
    assert_eq!(service.exit_code().await, Some(0));
    assert!(told.elapsed() < Duration::from_millis(1500), "{:?}", told.elapsed());
    let lost = |event: &CallEvent| match event {
        CallEvent::SessionEnded { status, close_code, .. } => Some((status.clone(), *close_code)),
        _ => None,
    };
    assert_eq!(call.wait_for(SOON, lost).await.unwrap(), ("failed".to_owned(), Some(1012)));
}

#[tokio::test]
async fn after_sigterm_no_call_is_taken_and_the_one_in_progress_goes_on_to_its_end() {
    let mut service = serve().await;
    let mut call = service.call().await;
    service.bedrock.script(Answer::text("Time is relative."));
    assert_eq!(ask(&mut call, "What is time?").await, "Time is relative.");
    service.signal("TERM").await;
    service.logs("draining").await;
    assert_eq!(get(&format!("{}/ready", service.url)).await.status, 503);
    assert_eq!(get(&format!("{}/health", service.url)).await.status, 200);
    let mut late = service.call().await;
    let spoken = |event: &CallEvent| matches!(event, CallEvent::Spoken(_)).then_some(());
    late.wait_for(SOON, spoken).await.unwrap();
    service.bedrock.script(Answer::text("Still relative."));
    assert_eq!(ask(&mut call, "And now?").await, "Still relative.");
    assert_eq!(service.child.try_wait().unwrap(), None, "it waits for the call");
    let call_sid = call.sid.clone();
    call.hang_up().await.unwrap();
    assert_eq!(service.exit_code().await, Some(0));
    let client = service.dynamodb.client().await;
    let session = client.get_item().table_name(TABLE).key("pk", text(&call_sid));
    let session = session.key("sk", text("connection")).send().await.unwrap().item.unwrap();
    assert_eq!(session["status"].as_s().unwrap(), "ended", "the journal is written before it goes");
}
