//! The samples work, and a mistake in a file is told with the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use voice_core::ports::Direction;
use voice_core::use_case::{Destination, Handler, KeypadHandler};

use super::{AuthoredItem, read};
use crate::catalog::dynamodb_json::{from_dynamodb, to_dynamodb};
use crate::catalog::prompt::{PromptContext, render};
use crate::catalog::use_case_item::{ParsedUseCase, parse_use_case};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configuration");
const ORIGINALS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/original");

fn parse(item: &AuthoredItem) -> ParsedUseCase {
    parse_use_case(&item.item).unwrap()
}

fn sample_use_cases() -> Vec<AuthoredItem> {
    let items = read(&Path::new(SAMPLES).join("use-cases")).unwrap();
    assert_eq!(
        names(&items),
        ["albert-einstein", "car-rental", "energy-company", "message-taking", "restaurant-ordering"]
    );
    items
}

fn names(items: &[AuthoredItem]) -> Vec<&str> {
    items.iter().map(|item| item.item["pk"].as_str().unwrap()).collect()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn the_samples_have_neither_errors_nor_warnings() {
    for item in sample_use_cases() {
        let parsed = parse(&item);
        assert_eq!((parsed.warnings, parsed.attribute_errors), (vec![], vec![]), "{}", item.path.display());
    }
}

#[test]
fn the_samples_mean_what_they_should() {
    let items = sample_use_cases();
    let [einstein, rental, energy, messages, restaurant] =
        items.iter().map(|item| parse(item).use_case).collect::<Vec<_>>().try_into().unwrap();
    let tools: Vec<_> = restaurant.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["PlaceOrderFunction", "CheckRestaurantPickUpTime", "CheckRestaurantDeliveryTime"]);
    assert_eq!(restaurant.inference.max_tokens, 300);
    for placeholder in ["<<CURRENT_DATE>>", "<<USER_CONTEXT>>"] {
        assert!(restaurant.prompt.contains(placeholder));
    }
    let order_line = &restaurant.tools[0].input_schema["properties"]["current_order"]["items"];
    assert_eq!(order_line["properties"]["additonal_details"]["type"], "string");
    let [end_call] = einstein.tools.as_slice() else { panic!("{:?}", einstein.tools) };
    assert_eq!((&end_call.handler, end_call.terminal), (&Handler::EndCall, true));
    let names: Vec<_> = rental.tools.iter().map(|tool| tool.name.as_str()).collect();
    let of_the_original = [
        "getDateTool",
        "getTimeTool",
        "getPolicyDetails",
        "getReservationStatus",
        "cancelReservation",
        "support",
    ];
    assert_eq!(names[..6], of_the_original);
    assert!(rental.tools.iter().all(|tool| !matches!(tool.handler, Handler::Unknown(_))));
    let locked = energy.tools.iter().filter(|tool| tool.requires_verified);
    assert_eq!(locked.map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["get_account", "send_sms"]);
    assert!(matches!(energy.handoff["default"].to, Destination::WarmTransfer { .. }));
    assert!(messages.outbound.hours.is_some());
}

/// A key runs its tool with no arguments.
#[test]
fn the_tools_on_the_samples_keypads_need_no_arguments() {
    let mut checked = 0;
    for item in sample_use_cases() {
        let use_case = parse(&item).use_case;
        for handler in use_case.keypad.values() {
            if let KeypadHandler::Run { tool } | KeypadHandler::ReplyAndRun { tool, .. } = handler {
                let tool = use_case.tools.iter().find(|known| known.name == *tool).unwrap();
                assert!(jsonschema::is_valid(&tool.input_schema, &json!({})), "{}", tool.name);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 2);
}

#[test]
fn the_samples_render_for_known_and_unknown_callers() {
    let profiles = read(&Path::new(SAMPLES).join("profiles.toml")).unwrap();
    let known = crate::catalog::profile_item::parse_profile(&profiles[0].item);
    let mut greeted = 0;
    for item in sample_use_cases() {
        let use_case = parse(&item).use_case;
        for caller in [None, Some(&known)] {
            let context = PromptContext {
                caller,
                from: "+14155550100",
                to: "+18005550199",
                direction: Direction::Inbound,
                variables: &BTreeMap::new(),
                call_sid: "CA1",
                use_case: &use_case.name,
                now: &jiff::Zoned::default(),
            };
            let rendered = render(&use_case.prompt, &context);
            assert_eq!(rendered.warning, None);
            assert!(caller.is_some() || !rendered.text.contains("Ada"), "{}", rendered.text);
            greeted += usize::from(rendered.text.contains("Ada"));
            assert!(!["<<", "{{", "{%"].iter().any(|rest| rendered.text.contains(rest)), "{}", rendered.text);
        }
    }
    // The other prompts leave the name to the greeting, or to a check of who is calling.
    assert_eq!(greeted, 3);
}

#[test]
fn a_sample_survives_the_way_through_dynamodb_json() {
    for item in sample_use_cases() {
        let printed = to_dynamodb(&item.item).to_string();
        let folder = folder(&[("printed.json", &printed)]);
        let [again] = read(folder.path()).unwrap().try_into().unwrap();
        assert_eq!(again.item, item.item);
        assert_eq!(parse(&again), parse(&item));
        assert_eq!(from_dynamodb(&serde_json::from_str::<Value>(&printed).unwrap()).unwrap(), item.item);
    }
}

#[test]
fn a_folder_is_read_whole() {
    let items = read(Path::new(SAMPLES)).unwrap();
    let keys = |item: &AuthoredItem| ["sk", "pk1"].map(|key| item.item[key].as_str().unwrap().to_owned());
    let kinds: BTreeSet<_> = items.iter().map(keys).collect();
    let expected = [
        ["configuration", "use-case"],
        ["do-not-call", "do-not-call"],
        ["number", "number"],
        ["profile", "profile"],
        ["record", "record::energy-account"],
        ["record", "record::rental-policy"],
        ["record", "record::reservation"],
    ];
    assert_eq!(kinds, expected.map(|kind| kind.map(str::to_owned)).into());
    let is_use_case = |item: &&AuthoredItem| item.item["sk"] == "configuration";
    let use_cases: BTreeSet<_> =
        items.iter().filter(is_use_case).map(|item| item.item["pk"].as_str().unwrap()).collect();
    for item in items.iter().filter(|item| item.item["sk"] != "configuration") {
        if let Some(use_case) = item.item.get("useCase") {
            assert!(use_cases.contains(use_case.as_str().unwrap()), "{use_case}");
        }
    }
}

#[test]
fn a_use_case_can_be_named_by_its_folder_or_its_file() {
    let folder_path = Path::new(SAMPLES).join("use-cases/albert-einstein");
    let by_folder = read(&folder_path).unwrap();
    assert_eq!(by_folder, read(&folder_path.join("use-case.toml")).unwrap());
    assert_eq!(names(&by_folder), ["albert-einstein"]);
}

#[test]
fn what_the_original_loaders_print_is_read() {
    let items = read(Path::new(ORIGINALS)).unwrap();
    assert_eq!(names(&items), ["albertEinsteinUseCase", "restaurantOrderingUseCase", "+14155550142"]);
}

#[test]
fn prompt_and_tools_may_stand_in_the_settings() {
    let settings =
        "prompt = \"Hi.\"\nsince = 2025-05-03\n[[tools]]\nname = \"a\"\ninputSchema.json.type = \"object\"\n";
    let folder =
        folder(&[("one/use-case.toml", settings), (".hidden/use-case.toml", "="), ("notes.txt", "x")]);
    let [item] = read(folder.path()).unwrap().try_into().unwrap();
    assert_eq!(
        Value::Object(item.item),
        json!({
            "pk": "one", "sk": "configuration", "pk1": "use-case", "sk1": "one", "prompt": "Hi.",
            "since": "2025-05-03",
            "tools": [{"name": "a", "inputSchema": {"json": {"type": "object"}}}],
        })
    );
}

#[test]
fn records_and_numbers_that_must_not_be_called_are_read_from_any_toml_file() {
    let text = r#"
        [profiles."+14155550100"]
        firstName = "Ada"
        [[record]]
        kind = "reservation"
        key = "98786843"
        status = "confirmed"
        days = 3
        [[record]]
        kind = "policy"
        key = "pets::dogs"
        [[do_not_call]]
        number = "+14155550111"
        reason = "asked us not to"
    "#;
    let folder = folder(&[("demo.toml", text)]);
    let items: Vec<_> =
        read(folder.path()).unwrap().into_iter().map(|item| Value::Object(item.item)).collect();
    let reservation = json!({
        "pk": "record::reservation::98786843", "sk": "record", "pk1": "record::reservation", "sk1": "98786843",
        "key": "98786843", "status": "confirmed", "days": 3,
    });
    let policy = json!({
        "pk": "record::policy::pets::dogs", "sk": "record", "pk1": "record::policy", "sk1": "pets::dogs",
        "key": "pets::dogs",
    });
    let silent = json!({
        "pk": "+14155550111", "sk": "do-not-call", "pk1": "do-not-call", "sk1": "+14155550111",
        "reason": "asked us not to",
    });
    assert!(
        items.len() == 4 && [&reservation, &policy, &silent].iter().all(|item| items.contains(item)),
        "{items:?}"
    );
    for item in [reservation, silent] {
        let Value::Object(keys) = &item else { panic!("{item}") };
        let printed = to_dynamodb(keys).to_string();
        let [again] = read(self::folder(&[("x.json", &printed)]).path()).unwrap().try_into().unwrap();
        assert_eq!(Value::Object(again.item), item);
    }
}

#[test]
fn every_attribute_of_a_use_case_passes_through_toml() {
    let settings = r#"
        prompt = "Hi."
        toolsUrl = "https://functions.example.com"
        toolsSecret = "env:TOOL_SECRET_FUNCTIONS"
        maxDurationSeconds = 600
        warnBeforeSeconds = 60
        [handoff]
        phone = "+14155550100"
        warm = true
        timeoutSeconds = 20
        [silence]
        afterSeconds = 7.5
        prompts = ["Hello?"]
        [budget]
        tokens = 50000
        [rateLimit]
        calls = 5
        minutes = 60
        [outbound]
        machine = { say = "Call us back." }
        callingHours = { from = "09:00", until = "20:00", days = ["mon"], timeZone = "Europe/Berlin" }
        [storage]
        keep = "nothing"
        redact = ['\bA-\d{10}\b']
        [messages]
        timeWarning = "Nearly done."
        [mcpServers.crm]
        url = "https://mcp.example.com"
        allow = ["find"]
        headers.Authorization = { secret = "env:TOOL_SECRET_CRM", prefix = "Bearer " }
        [[languages]]
        code = "es-US"
        [languages.messages]
        goodbye = "Adiós."
        [[tools]]
        name = "status"
        requiresVerified = true
        inputSchema.json = { type = "object", properties.id.type = "string" }
        handler = { type = "record", kind = "reservation", action = "get", key = "{{ args.id }}" }
    "#;
    let folder = folder(&[("reception/use-case.toml", settings)]);
    let [item] = read(folder.path()).unwrap().try_into().unwrap();
    let parsed = parse(&item);
    assert_eq!((parsed.warnings, parsed.attribute_errors), (vec![], vec![]));
    let use_case = parsed.use_case;
    assert!(use_case.silence.is_some() && use_case.max_duration.is_some() && use_case.caller_limit.is_some());
    assert!(use_case.outbound.hours.is_some() && use_case.languages[0].sentences.is_some());
    assert!(use_case.handoff.contains_key("default") && use_case.mcp_servers.len() == 1);
    assert!(matches!(use_case.tools[0].handler, Handler::Record(_)));
}

#[test]
fn a_mistake_is_told_with_its_file() {
    let item = r#"{"pk": "a", "sk": "configuration"}"#;
    for (files, file, reason) in [
        (vec![("a/use-case.toml", "title =")], "a/use-case.toml", "is not TOML"),
        (vec![("a/use-case.toml", "x = inf")], "a/use-case.toml", "infinite"),
        (vec![("a/use-case.toml", ""), ("a/tools.json", "[")], "a/tools.json", "is not JSON"),
        (vec![("a/use-case.toml", "prompt = ''"), ("a/prompt.md", "x")], "a/prompt.md", "use-case.toml too"),
        (vec![("a b/use-case.toml", "")], "a b", "letters, digits"),
        (vec![("x.json", "{")], "x.json", "is not JSON"),
        (vec![("x.json", "[]")], "x.json", "must hold one item"),
        (vec![("x.json", "{\"pk\": \"a\"}")], "x.json", "must have the keys pk and sk"),
        (vec![("x.json", "{\"pk\": \"a\", \"sk\": \"connection\"}")], "x.json", "sk: must be"),
        (vec![("x.json", "{\"pk\": {\"S\": 1}}")], "x.json", "is not DynamoDB JSON: pk: "),
        (vec![("x.json", item), ("y.json", item)], "y.json", "describes a, as does"),
        (vec![("x.toml", "[profile]")], "x.toml", "only profiles, numbers,"),
        (vec![("x.toml", "[record]")], "x.toml", "must be written as [[record]]"),
        (vec![("x.toml", "record = [1]")], "x.toml", "must be written as [[record]]"),
        (vec![("x.toml", "[[record]]\nkey = \"a\"")], "x.toml", "must name its kind"),
        (vec![("x.toml", "[[record]]\nkind = \"a::b\"")], "x.toml", "letters, digits, _ or -"),
        (vec![("x.toml", "[[record]]\nkind = \"a\"\nkey = 1")], "x.toml", "must have a key, which is text"),
        (vec![("x.toml", "[[record]]\nkind = \"a\"\nkey = \" \"")], "x.toml", "without blanks around it"),
        (vec![("x.toml", "[[do_not_call]]\nreason = \"x\"")], "x.toml", "must have its number"),
        (vec![("x.toml", "[[do_not_call]]\nnumber = \"555\"")], "x.toml", "must be a phone number"),
        (
            vec![("x.json", "{\"pk\": \"555\", \"sk\": \"do-not-call\"}")],
            "x.json",
            "pk: must be a phone number",
        ),
        (vec![("x.json", "{\"pk\": \"order::1\", \"sk\": \"record\"}")], "x.json", "pk: of a record must be"),
        (vec![("x.toml", "profiles = 1")], "x.toml", "must be a table"),
        (vec![("x.toml", "[profiles]\n\"+1415555010\" = 1")], "x.toml", "must be a table"),
        (vec![("x.toml", "[profiles.\"555\"]")], "x.toml", "profiles.555: must be a phone number"),
        (vec![("x.toml", "[numbers.\"+18005550199\"]")], "x.toml", "must name its useCase"),
        (vec![("1/2/3/4/5/6/7/8/9/x.toml", "")], "1/2/3/4/5/6/7/8", "nested too deeply"),
    ] {
        let folder = folder(&files);
        let error = read(folder.path()).expect_err(reason);
        assert_eq!(error.path, folder.path().join(file), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn what_is_no_configuration_is_refused_by_name() {
    let folder = folder(&[("x.yaml", "")]);
    assert!(read(&folder.path().join("x.yaml")).unwrap_err().to_string().contains("neither a folder nor"));
    assert!(read(&folder.path().join("absent.toml")).unwrap_err().to_string().contains("cannot be read"));
}
